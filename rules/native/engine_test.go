package native_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"thymus/pdp"
	"thymus/rules/native"
)

// layDoc lays a value onto a tape.
func layDoc(v ast.Value) *pdp.Doc {
	d := &pdp.Doc{}
	lay(d, pdp.Span{}, v)
	return d
}

func lay(d *pdp.Doc, key pdp.Span, v ast.Value) {
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
		v.Foreach(func(e *ast.Term) { lay(d, pdp.Span{}, e.Value) })
		d.End(i, v.Len())
	case ast.Object:
		i := d.Open(key, pdp.Object)
		v.Foreach(func(k, e *ast.Term) { lay(d, d.AddText(string(k.Value.(ast.String))), e.Value) })
		d.End(i, v.Len())
	default:
		panic("no JSON: " + v.String())
	}
}

func parse(t testing.TB, s string) *pdp.Doc {
	t.Helper()
	v, err := ast.ValueFromReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return layDoc(v)
}

// rbac is n rules over a role and an action, merged as package rules merges them.
func rbac(n int) (string, []pdp.Match) {
	var b strings.Builder
	b.WriteString("package thymus.match\n")
	rows := make([]pdp.Match, n)
	for i := range n {
		fmt.Fprintf(&b, "m contains %d if {\n input.subject.properties.role == \"role%d\"\n input.action.name == \"act%d\"\n}\n", i, i, i%7)
		rows[i] = pdp.Match{Rule: int32(i), Effect: pdp.Allow, Priority: int64(i)}
	}
	return b.String(), rows
}

func rbacInput(i int) string {
	return fmt.Sprintf(`{"subject":{"type":"agent","id":"ops_agent","properties":{"role":"role%d"}},"action":{"name":"act%d","properties":{}},`+
		`"resource":{"type":"","id":"db","properties":{}},"context":{"ip":"10.0.0.1","risk":3},"peer":{"surface":"native","transport":"tcp"}}`, i, i%7)
}

func mustCompile(t testing.TB, mods map[string]string, o native.Options) (*native.Engine, *native.Report) {
	t.Helper()
	c, err := ast.CompileModules(mods)
	if err != nil {
		t.Fatal(err)
	}
	o.Compiler = c
	e, rep, err := native.Compile(o)
	if err != nil {
		t.Fatal(err)
	}
	return e, rep
}

var merged = []native.Set{{Ref: ast.MustParseRef("data.thymus.match.m"), Merged: true}}

func TestMatchFindsTheRowAndAllocatesNothing(t *testing.T) {
	for _, n := range []int{1, 10, 100, 1000} {
		mod, rows := rbac(n)
		e, rep := mustCompile(t, map[string]string{"m.rego": mod}, native.Options{Sets: merged, Rows: rows})
		if len(rep.Unable) > 0 {
			t.Fatalf("%d rules: unable %v", n, rep.Unable)
		}
		in, r, b := parse(t, rbacInput(n/2)), &pdp.Result{}, &pdp.Budget{}
		e.Match(in, b, r)
		if len(r.Faults) > 0 || len(r.Matches) != 1 || r.Matches[0].Rule != int32(n/2) {
			t.Fatalf("%d rules: matches %v, faults %v", n, r.Matches, r.Faults)
		}
		if a := testing.AllocsPerRun(200, func() { e.Match(in, b, r) }); a != 0 {
			t.Errorf("%d rules: %v allocations", n, a)
		}
		e.Match(parse(t, `{"subject":1}`), b, r)
		if len(r.Faults) > 0 || len(r.Matches) != 0 {
			t.Fatalf("%d rules: matches %v, faults %v", n, r.Matches, r.Faults)
		}
	}
}

// go test ./rules/native -run '^$' -bench BenchmarkRBAC -count 10 | benchstat -
func BenchmarkRBAC(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		mod, rows := rbac(n)
		e, _ := mustCompile(b, map[string]string{"m.rego": mod}, native.Options{Sets: merged, Rows: rows})
		in, r, budget := parse(b, rbacInput(n/2)), &pdp.Result{}, &pdp.Budget{}
		b.Run(fmt.Sprintf("native/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Match(in, budget, r)
			}
			if len(r.Matches) != 1 {
				b.Fatal(r.Matches)
			}
		})
		if n > 1000 {
			continue
		}
		pq, err := rego.New(rego.Query("x = data.thymus.match.m"), rego.Module("m.rego", mod)).PrepareForEval(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		v, _ := ast.ValueFromReader(strings.NewReader(rbacInput(n / 2)))
		b.Run(fmt.Sprintf("topdown/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if rs, err := pq.Eval(context.Background(), rego.EvalParsedInput(v)); err != nil || len(rs) != 1 {
					b.Fatal(err)
				}
			}
		})
	}
}
