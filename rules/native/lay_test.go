package native

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// TapeOf lays a value onto a tape, as pdp/wire does with a request. It is here for the tests outside of the package too.
func TapeOf(v ast.Value) *pdp.Doc {
	d := &pdp.Doc{}
	Lay(d, pdp.Span{}, v)
	return d
}

// Lay appends a JSON value to a tape.
func Lay(d *pdp.Doc, key pdp.Span, v ast.Value) {
	switch v := v.(type) {
	case ast.Null:
		d.Add(key, pdp.Null, pdp.Span{})
	case ast.Boolean:
		k := pdp.False
		if v {
			k = pdp.True
		}
		d.Add(key, k, pdp.Span{})
	case ast.Number:
		d.Add(key, pdp.Number, d.AddText(string(v)))
	case ast.String:
		d.Add(key, pdp.String, d.AddText(string(v)))
	case *ast.Array:
		i := d.Open(key, pdp.Array)
		v.Foreach(func(e *ast.Term) { Lay(d, pdp.Span{}, e.Value) })
		d.End(i, v.Len())
	case ast.Object:
		i := d.Open(key, pdp.Object)
		v.Foreach(func(k, e *ast.Term) { Lay(d, d.AddText(string(k.Value.(ast.String))), e.Value) })
		d.End(i, v.Len())
	default:
		panic("no JSON: " + v.String())
	}
}
