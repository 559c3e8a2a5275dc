package rules

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// inputTerm is the tape as OPA's value, nil for an undefined input. Numbers keep their text. The strings are copied: OPA
// may keep what it is given for longer than the tape is lent.
//
// False is an input with a number that arithmetic cannot bear: OPA panics at some, and at others works for minutes.
func (ev *evaluator) inputTerm(in *pdp.Doc) (*ast.Term, bool) {
	if len(in.Nodes) == 0 {
		return nil, true
	}
	r := tapeReader{doc: in, text: string(in.Text), names: ev.names, terms: make([]ast.Term, len(in.Nodes))}
	t := r.term(0)
	return t, !r.extreme
}

// canonicalNames are the members of the canonical input (CONTRACT 1) and of what proxies add to it.
var canonicalNames = []string{"subject", "type", "id", "properties", "role", "action", "name", "resource", "context", "peer", "surface",
	"transport", "uid", "gid", "pid", "principal", "attributes", "request", "http", "method", "path", "host", "scheme", "headers", "source",
	"address", "raw_path", "canonical_path", "path_differs", "parsed_path", "parsed_query", "parsed_body", "truncated_body",
	"source_principal", "version"}

// internNames makes the terms of member names once for an evaluator: terms do not change, so that all inputs may share
// them.
func internNames() map[string]*ast.Term {
	names := make(map[string]*ast.Term, len(canonicalNames))
	for _, n := range canonicalNames {
		names[n] = ast.StringTerm(n)
	}
	return names
}

// extreme says whether a JSON number has an exponent of five digits or more, or more digits than anyone counts with.
func extreme(number string) bool {
	if len(number) < 7 {
		return false
	}
	if len(number) > 1000 {
		return true
	}
	i := strings.IndexAny(number, "eE")
	return i >= 0 && len(strings.TrimLeft(number[i+1:], "+-0")) > 4
}

// tapeReader shares one copy of the tape's text between all strings, and one block of memory between all terms.
type tapeReader struct {
	doc     *pdp.Doc
	text    string
	names   map[string]*ast.Term
	terms   []ast.Term     // one for each node
	members [][2]*ast.Term // of the objects being read, the innermost last
	extreme bool
}

func (r *tapeReader) str(s pdp.Span) string { return r.text[s.Off : s.Off+s.Len] }

func (r *tapeReader) term(i int32) *ast.Term {
	n, t := &r.doc.Nodes[i], &r.terms[i]
	switch n.Kind {
	case pdp.Null:
		t.Value = ast.NullValue
	case pdp.False:
		return ast.InternedTerm(false)
	case pdp.True:
		return ast.InternedTerm(true)
	case pdp.Number:
		number := r.str(n.Val)
		r.extreme = r.extreme || extreme(number)
		t.Value = ast.Number(number)
	case pdp.String:
		t.Value = ast.String(r.str(n.Val))
	case pdp.Array:
		items := make([]*ast.Term, 0, n.Val.Len)
		for c := i + 1; c < n.Next; c = r.doc.Nodes[c].Next {
			items = append(items, r.term(c))
		}
		t.Value = ast.NewArray(items...)
	case pdp.Object:
		from := len(r.members)
		for c := i + 1; c < n.Next; c = r.doc.Nodes[c].Next {
			value := r.term(c)
			name := r.str(r.doc.Nodes[c].Key)
			key := r.names[name]
			if key == nil {
				key = ast.StringTerm(name)
			}
			r.members = append(r.members, [2]*ast.Term{key, value})
		}
		t.Value = ast.NewObject(r.members[from:]...)
		r.members = r.members[:from]
	}
	return t
}

// writeValue appends a value to a tape as OPA writes it as JSON: a set as its sorted array, an object by its keys, a key
// that is no string as the string of its JSON.
func writeValue(d *pdp.Doc, key pdp.Span, v ast.Value) bool {
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
		at, ok := d.Open(key, pdp.Array), true
		v.Foreach(func(t *ast.Term) { ok = ok && writeValue(d, pdp.Span{}, t.Value) })
		d.End(at, v.Len())
		return ok
	case ast.Set:
		at, ok := d.Open(key, pdp.Array), true
		v.Sorted().Foreach(func(t *ast.Term) { ok = ok && writeValue(d, pdp.Span{}, t.Value) })
		d.End(at, v.Len())
		return ok
	case ast.Object:
		return writeObject(d, key, v)
	default:
		return false
	}
	return true
}

func writeObject(d *pdp.Doc, key pdp.Span, v ast.Object) bool {
	at, n, ok := d.Open(key, pdp.Object), 0, true
	plain := true
	v.Foreach(func(k, _ *ast.Term) {
		_, isString := k.Value.(ast.String)
		plain = plain && isString
	})
	if plain { // sorted already
		v.Foreach(func(k, val *ast.Term) {
			ok = ok && writeValue(d, d.AddText(string(k.Value.(ast.String))), val.Value)
		})
		d.End(at, v.Len())
		return ok
	}
	type entry struct {
		key   string
		value ast.Value
	}
	var entries []entry
	v.Foreach(func(k, val *ast.Term) {
		name, isString := k.Value.(ast.String)
		if !isString {
			var t pdp.Doc
			if ok = ok && writeValue(&t, pdp.Span{}, k.Value); ok {
				name = ast.String(keyJSON(&t))
			}
		}
		entries = append(entries, entry{string(name), val.Value})
	})
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	for i, e := range entries {
		if i+1 < len(entries) && entries[i+1].key == e.key {
			continue // the last of equal keys counts
		}
		ok = ok && writeValue(d, d.AddText(e.key), e.value)
		n++
	}
	d.End(at, n)
	return ok
}

// keyJSON is a composite or scalar key as OPA spells it: encoding/json's form, which escapes for HTML.
func keyJSON(t *pdp.Doc) string {
	var v any
	dec := json.NewDecoder(strings.NewReader(string(t.AppendJSON(nil, 0))))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return ""
	}
	b, _ := json.Marshal(v)
	return string(b)
}
