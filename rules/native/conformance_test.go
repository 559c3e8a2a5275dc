package native

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/util"

	"thymus/pdp"
)

// isJSON says whether a value can lie on a tape at all.
func isJSON(v ast.Value) bool {
	ok := true
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Set:
			ok = false
		case ast.Object:
			x.Foreach(func(k, _ *ast.Term) {
				if _, str := k.Value.(ast.String); !str {
					ok = false
				}
			})
		}
		return !ok
	}).Walk(v)
	return ok
}

// asked is a query compiled into a program beside its rules.
type asked struct {
	prog  *program
	group *group
	names []string
	regs  []int
	out   *[][]ast.Value
}

func askBody(c *compiler, body ast.Body, names map[ast.Var]ast.Var, prog *program) (*asked, error) {
	g := &group{name: "query"}
	s := c.scope(g)
	build, err := s.body(body)
	if err != nil {
		return nil, err
	}
	a := &asked{prog: prog, group: g, out: &[][]ast.Value{}}
	for v := range s.bound {
		name := string(v)
		if orig, ok := names[v]; ok {
			name = string(orig)
		}
		if v.IsGenerated() && name == string(v) || ast.Var(name).IsWildcard() {
			continue
		}
		a.names, a.regs = append(a.names, name), append(a.regs, s.slot[v])
	}
	last := build(func(f *frame) ctl {
		row := make([]ast.Value, len(a.regs))
		for i, r := range a.regs {
			row[i] = f.m.toAST(f.r[r])
		}
		*a.out = append(*a.out, row)
		return more
	})
	g.regs = s.top.n
	g.rules = []rule{{body: last}}
	for _, x := range g.calls {
		if x.unable != nil {
			return nil, fmt.Errorf("evaluates %s: %w", x.name, x.unable)
		}
	}
	return a, nil
}

func (a *asked) run(in ast.Value, strict bool) ([]map[string]ast.Value, *fault) {
	m := newMachine(a.prog)
	var doc *pdp.Doc
	if in != nil && isJSON(in) {
		doc = TapeOf(in)
	}
	m.start(doc, strict, &pdp.Budget{})
	if in != nil && doc == nil {
		m.input, _ = m.fromAST(in)
	}
	*a.out = nil
	f := m.push(a.group.regs)
	m.run(a.group, f)
	if m.err != nil {
		return nil, m.err
	}
	var rows []map[string]ast.Value
	for _, r := range *a.out {
		row := map[string]ast.Value{}
		for i, n := range a.names {
			row[n] = r[i]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func casesDir(t testing.TB) string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		if os.Getenv("REQUIRE_REAL") == "1" {
			t.Fatalf("OPA's conformance cases: %v", err)
		}
		t.Skipf("OPA's conformance cases need its module's source: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "v1", "test", "cases", "testdata", "v1")
}

type verdict int

const (
	passed verdict = iota
	unableTo
	wrong
	harness
)

// TestConformance runs OPA's own cases for Rego v1 through this engine alone.
func TestConformance(t *testing.T) {
	dir := casesDir(t)
	var n [4]int
	var lines []string
	for _, tc := range cases.MustLoad(dir).Sorted().Cases {
		v, why := conform(t, &tc)
		n[v]++
		if v != passed {
			lines = append(lines, fmt.Sprintf("%d %s | %s", v, tc.Note, why))
		}
	}
	slices.Sort(lines)
	if f := os.Getenv("CONFORMANCE_OUT"); f != "" {
		os.WriteFile(f, []byte(strings.Join(lines, "\n")), 0o644)
	}
	t.Logf("passed %d, unable %d, wrong %d, harness %d", n[passed], n[unableTo], n[wrong], n[harness])
	if n[passed] < conforming {
		t.Errorf("passed %d cases, want at least %d", n[passed], conforming)
	}
	for _, l := range lines {
		if strings.HasPrefix(l, "2") {
			t.Error(l[:min(len(l), 600)])
		}
	}
}

// conforming is how many cases pass; the rest is left to topdown by a compile error, or cannot be asked by this test.
const conforming = 2399

func conform(t *testing.T, tc *cases.TestCase) (v verdict, why string) {
	defer func() {
		if p := recover(); p != nil {
			v, why = wrong, fmt.Sprint("panic: ", p)
		}
	}()
	for k, v := range tc.Env {
		t.Setenv(k, v)
	}
	po := ast.ParserOptions{RegoVersion: ast.RegoV1}
	if tc.ExperimentalKeywords {
		po.Capabilities = ast.CapabilitiesForThisVersion(ast.CapabilitiesExperimentalKeywords(true))
	}
	mods := map[string]string{}
	for i, m := range tc.Modules {
		mods[fmt.Sprintf("test-%d.rego", i)] = m
	}
	comp, err := ast.CompileModulesWithOpt(mods, ast.CompileOpts{ParserOptions: po})
	if err != nil {
		return harness, err.Error()
	}
	o := Options{Compiler: comp}
	if tc.Data != nil {
		if o.Data, err = ast.InterfaceToValue(*tc.Data); err != nil {
			return harness, err.Error()
		}
	}
	c, _, err := compile(o)
	if err != nil {
		return unableTo, err.Error()
	}
	qc := comp.QueryCompiler()
	body, err := ast.ParseBodyWithOpts(tc.Query, po)
	if err != nil {
		return harness, err.Error()
	}
	if body, err = qc.Compile(body); err != nil {
		return harness, err.Error()
	}
	a, err := askBody(c, body, qc.RewrittenVars(), c.prog)
	if err != nil {
		return unableTo, err.Error()
	}
	var in ast.Value
	switch {
	case tc.InputTerm != nil:
		in = ast.MustParseTerm(*tc.InputTerm).Value
	case tc.Input != nil:
		in = ast.MustInterfaceToValue(*tc.Input)
	}
	rows, f := a.run(in, tc.StrictError)
	if f != nil && f.rerun {
		return unableTo, f.msg
	}
	if tc.WantError != nil || tc.WantErrorCode != nil {
		if f == nil {
			return wrong, fmt.Sprintf("want an error, got %v", rows)
		}
		if tc.WantErrorCode != nil && faultOf(*tc.WantErrorCode) != f.code {
			return wrong, fmt.Sprintf("want %s, got %v: %s", *tc.WantErrorCode, f.code, f.msg)
		}
		return passed, ""
	}
	if f != nil {
		return wrong, "unexpected error " + f.msg
	}
	if tc.WantResult == nil {
		return passed, ""
	}
	want, got := ast.NewSet(), ast.NewSet()
	for _, b := range *tc.WantResult {
		o := ast.NewObject()
		for k, v := range b {
			o.Insert(ast.StringTerm(k), ast.NewTerm(ast.MustInterfaceToValue(v)))
		}
		want.Add(ast.NewTerm(o))
	}
	for _, r := range rows {
		o := ast.NewObject()
		for k, v := range r {
			x, err := ast.JSON(v)
			if err != nil {
				return harness, err.Error()
			}
			if list, ok := x.([]any); ok && tc.SortBindings {
				slices.SortFunc(list, util.Compare)
			}
			o.Insert(ast.StringTerm(k), ast.NewTerm(ast.MustInterfaceToValue(x)))
		}
		got.Add(ast.NewTerm(o))
	}
	if want.Compare(got) != 0 {
		return wrong, fmt.Sprintf("want %v, got %v", want, got)
	}
	return passed, ""
}

func faultOf(code string) pdp.FaultCode {
	switch code {
	case "eval_conflict_error":
		return pdp.FaultConflict
	case "eval_builtin_error", "eval_type_error":
		return pdp.FaultBuiltin
	}
	return pdp.FaultInternal
}
