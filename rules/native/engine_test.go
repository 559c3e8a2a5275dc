package native_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"thymus/pdp"
	"thymus/rules/native"
)

func parse(t testing.TB, s string) *pdp.Doc {
	t.Helper()
	v, err := ast.ValueFromReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return native.TapeOf(v)
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
		if a := testing.AllocsPerRun(200, func() { e.Match(in, b, r) }); a != 0 && !underRace {
			t.Errorf("%d rules: %v allocations", n, a)
		}
		e.Match(parse(t, `{"subject":1}`), b, r)
		if len(r.Faults) > 0 || len(r.Matches) != 0 {
			t.Fatalf("%d rules: matches %v, faults %v", n, r.Matches, r.Faults)
		}
	}
}

// Both engines in one run, from the tape to what matches. One rule without a test is the trivial allow.
//
//	go test ./rules/native -run '^$' -bench RBAC -count 10 | benchstat -col /engine -
func BenchmarkRBAC(b *testing.B) {
	for _, n := range []int{0, 10, 100, 1000, 10000} {
		mod, rows := rbac(n)
		if n == 0 {
			mod, rows = mod+"m contains 0\n", make([]pdp.Match, 1)
		}
		e, _ := mustCompile(b, map[string]string{"m.rego": mod}, native.Options{Sets: merged, Rows: rows})
		in, r, budget := parse(b, rbacInput(n/2)), &pdp.Result{}, &pdp.Budget{}
		b.Run(fmt.Sprintf("rules=%d/engine=native", n), func(b *testing.B) {
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
		b.Run(fmt.Sprintf("rules=%d/engine=topdown", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if rs, err := pq.Eval(context.Background(), rego.EvalParsedInput(v)); err != nil || len(rs) != 1 {
					b.Fatal(err)
				}
			}
		})
	}
}

const tablePolicy = `package pdp

user_roles contains r if { some r in data.rbac.bindings[input.subject.id] }
user_roles contains r if { some g in input.subject.groups; some r in data.rbac.group_roles[g] }

default permitted := false
permitted if {
	some r in user_roles
	some p in data.rbac.role_perms[r]
	p.action == input.action
	startswith(input.resource.path, p.prefix)
}
permitted if { input.action == "read"; glob.match("/public/**", ["/"], input.resource.path) }

deny contains "risk score too high" if { input.context.risk >= 70 }
deny contains "outside business hours" if { input.context.hour < 6; input.resource.sensitivity == "high" }
deny contains "mfa required for production secrets" if {
	regex.match("^/secrets/[a-z0-9-]+/prod/", input.resource.path)
	not input.subject.mfa
}
deny contains "forbidden location" if { glob.match("/*/restricted/**", ["/"], input.resource.path); input.context.country != "NL" }
deny contains msg if {
	some g in input.subject.groups
	g in data.rbac.suspended
	msg := sprintf("group %s is suspended", [g])
}

default allow := false
allow if { permitted; count(deny) == 0 }

decision := {"allow": allow, "reasons": deny, "roles": count(user_roles)}
`

func tableData() ast.Value {
	acts := []string{"read", "write", "delete", "list"}
	perms, groups := map[string]any{}, map[string]any{}
	for r := range 50 {
		var ps []any
		for p := range 20 {
			ps = append(ps, map[string]any{"action": acts[p%4], "prefix": fmt.Sprintf("/svc%d/res%d/", r, p)})
		}
		perms[fmt.Sprintf("role%d", r)] = ps
	}
	for g := range 30 {
		groups[fmt.Sprintf("group%d", g)] = []any{fmt.Sprintf("role%d", g), fmt.Sprintf("role%d", g+20)}
	}
	return ast.MustInterfaceToValue(map[string]any{"rbac": map[string]any{
		"role_perms": perms, "group_roles": groups,
		"bindings":  map[string]any{"alice": []any{"role1", "role2"}},
		"suspended": []any{"group28", "group29"},
	}})
}

const tableInput = `{"subject":{"id":"alice","groups":["group3","group7","group11","group12","group20"],"mfa":true,"tenant":"acme"},"action":"delete",` +
	`"resource":{"path":"/svc31/res18/object-7781","type":"object","sensitivity":"high"},"context":{"ip":"10.0.0.1","risk":12,"hour":11,"country":"NL",` +
	`"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}}`

func TestTablePolicyAnswersWithoutAllocating(t *testing.T) {
	e, rep := mustCompile(t, map[string]string{"p.rego": tablePolicy}, native.Options{Data: tableData()})
	if len(rep.Unable) > 0 {
		t.Fatal(rep.Unable)
	}
	in, r, b, q := parse(t, tableInput), &pdp.Result{}, &pdp.Budget{}, e.Query([]string{"pdp", "decision"})
	e.Value(q, in, true, b, r)
	if got := string(r.Out.AppendJSON(nil, 0)); got != `{"allow":true,"reasons":[],"roles":12}` {
		t.Fatal(got, r.Faults)
	}
	if a := testing.AllocsPerRun(200, func() { e.Value(q, in, true, b, r) }); a != 0 && !underRace {
		t.Errorf("%v allocations", a)
	}
}

// Both engines in one run, from the tape to a value.
//
//	go test ./rules/native -run '^$' -bench Table -count 10 | benchstat -col /engine -
func BenchmarkTable(b *testing.B) {
	e, _ := mustCompile(b, map[string]string{"p.rego": tablePolicy}, native.Options{Data: tableData()})
	in, r, budget, q := parse(b, tableInput), &pdp.Result{}, &pdp.Budget{}, e.Query([]string{"pdp", "decision"})
	b.Run("engine=native", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Value(q, in, true, budget, r)
		}
	})
	x, _ := ast.JSON(tableData())
	store := inmem.NewFromObjectWithOpts(x.(map[string]any), inmem.OptReturnASTValuesOnRead(true))
	pq, err := rego.New(rego.Query("x = data.pdp.decision"), rego.Module("p.rego", tablePolicy), rego.Store(store)).PrepareForEval(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	v, _ := ast.ValueFromReader(strings.NewReader(tableInput))
	b.Run("engine=topdown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if rs, err := pq.Eval(context.Background(), rego.EvalParsedInput(v)); err != nil || len(rs) != 1 {
				b.Fatal(err)
			}
		}
	})
}

// go test ./rules/native -run '^$' -bench BenchmarkLoad -count 6 | benchstat -
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		mod, rows := rbac(n)
		parsed := ast.MustParseModule(mod)
		c := ast.NewCompiler()
		c.Compile(map[string]*ast.Module{"m.rego": parsed})
		if c.Failed() {
			b.Fatal(c.Errors)
		}
		b.Run(fmt.Sprintf("opa/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := ast.CompileModules(map[string]string{"m.rego": mod}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("native/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := native.Compile(native.Options{Compiler: c, Sets: merged, Rows: rows}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestFunctionsOfFunctionsCostWhatTheyAre calls a chain of functions each of which calls the one before twice.
func TestFunctionsOfFunctionsCostWhatTheyAre(t *testing.T) {
	mod := "package t\nf0(x) := x + 1\n"
	for i := 1; i <= 60; i++ {
		mod += fmt.Sprintf("f%d(x) := y if { a := f%d(x); b := f%d(x); y := max([a, b]) + 1 }\n", i, i-1, i-1)
	}
	mod += "p := f60(1)\nq := y if { y := f60(input.n) with input.n as 2 }\n"
	e, _ := mustCompile(t, map[string]string{"t.rego": mod}, native.Options{})
	var b pdp.Budget
	b.Start(1)
	stop := time.AfterFunc(5*time.Second, func() { b.Expire(1) })
	defer stop.Stop()
	var r pdp.Result
	for range 3 {
		e.Value(e.Query([]string{"t"}), parse(t, `{}`), true, &b, &r)
		if got := string(r.Out.AppendJSON(nil, 0)); got != `{"p":62,"q":63}` {
			t.Fatalf("%s, faults %v", got, r.Faults)
		}
	}
}
