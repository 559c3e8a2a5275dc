package rules_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/util"

	"thymus/pdp"
	"thymus/rules"
)

// conformancePasses is how many of OPA's cases pass; fewer is a regression. What does not pass is listed by -v with its
// reason.
const conformancePasses = 2387

// TestConformance runs OPA's own evaluation cases through Load, Query and Value. A question that is a path is asked as
// that path; any other becomes the body of a rule in a module of its own.
func TestConformance(t *testing.T) { onBothEngines(t, testConformance) }

func testConformance(t *testing.T, engine func(*rules.Options)) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatalf("where is OPA's module: %v", err)
	}
	set := cases.MustLoad(filepath.Join(strings.TrimSpace(string(out)), "v1/test/cases/testdata/v1"))
	if len(set.Cases) == 0 {
		t.Fatal("the corpus is empty")
	}
	passed := 0
	failures := map[string]int{}
	for _, c := range set.Sorted().Cases {
		for k, v := range c.Env {
			t.Setenv(k, v)
		}
		if why := conform(t, &c, engine); why != "" {
			failures[why]++
			t.Logf("%s: %s", c.Note, why)
			continue
		}
		passed++
	}
	t.Logf("%d of %d cases pass", passed, len(set.Cases))
	if passed < conformancePasses {
		t.Errorf("%d cases pass, there were %d", passed, conformancePasses)
	}
}

// conform runs one case and says why it does not pass.
func conform(t *testing.T, c *cases.TestCase, engine func(*rules.Options)) string {
	files := map[string]string{}
	for i, m := range c.Modules {
		files[fmt.Sprintf("test-%d.rego", i)] = m
	}
	if c.Data != nil {
		b, err := json.Marshal(*c.Data)
		if err != nil {
			return "its data is no JSON"
		}
		files["data.json"] = string(b)
	}
	in := ""
	switch {
	case c.InputTerm != nil:
		term, err := ast.ParseTerm(*c.InputTerm)
		if err != nil {
			return "its input is no term"
		}
		v, err := ast.JSON(term.Value)
		if err != nil {
			return "its input is no JSON"
		}
		b, _ := json.Marshal(v)
		back, _ := ast.ValueFromReader(strings.NewReader(string(b)))
		if back.Compare(term.Value) != 0 {
			return "its input is no JSON"
		}
		in = string(b)
	case c.Input != nil:
		b, _ := json.Marshal(*c.Input)
		in = string(b)
	}
	path, wrapped, vars := question(c.Query)
	if wrapped != "" {
		files["question.rego"] = wrapped
	}
	o := rules.Options{Paths: []string{dir(t, files)}, AllowBuiltins: []string{"http.send", "net.lookup_ip_addr", "opa.runtime"}}
	engine(&o)
	loaded, err := rules.Load(t.Context(), o)
	if err != nil {
		return "does not load: " + err.Error()
	}
	var r pdp.Result
	ev := loaded.Snapshot.Eval
	ev.Value(ev.Query(path), tape(t, in), c.StrictError, nil, &r)
	if c.WantErrorCode != nil || c.WantError != nil {
		return wantFault(c, &r)
	}
	if len(r.Faults) > 0 {
		return "fault " + r.Faults[0].Code.String() + ": " + r.Out.Str(r.Faults[0].Msg)
	}
	return wantResult(c, &r, wrapped != "", vars)
}

// question is the path that a query asks for, or a module whose rule question.answers holds what the query binds.
func question(query string) (path []string, module string, vars []string) {
	body, err := ast.ParseBody(query)
	if err == nil && len(body) == 1 && body[0].IsEquality() {
		ref, isRef := body[0].Operand(0).Value.(ast.Ref)
		v, isVar := body[0].Operand(1).Value.(ast.Var)
		if isRef && isVar && v == "x" && ref.IsGround() && ref[0].Equal(ast.DefaultRootDocument) {
			for _, s := range ref[1:] {
				str, ok := s.Value.(ast.String)
				// a path's decimal segment is a number
				if !ok || strings.Trim(string(str), "0123456789-") == "" {
					path = nil
					break
				}
				path = append(path, string(str))
			}
			if len(path) == len(ref)-1 {
				return path, "", nil
			}
			path = nil
		}
	}
	vis := ast.NewVarVisitor().WithParams(ast.VarVisitorParams{SkipClosures: true, SkipRefCallHead: true})
	vis.Walk(body)
	for v := range vis.Vars() {
		if !v.IsWildcard() && !v.IsGenerated() && v != "data" && v != "input" {
			vars = append(vars, string(v))
		}
	}
	members := make([]string, len(vars))
	for i, v := range vars {
		members[i] = fmt.Sprintf("%q: %s", v, v)
	}
	return []string{"question", "answers"}, "package question\n\nanswers contains {" + strings.Join(members, ", ") + "} if {\n\t" + query + "\n}\n", vars
}

func wantFault(c *cases.TestCase, r *pdp.Result) string {
	if len(r.Faults) == 0 {
		return "no fault where one is wanted"
	}
	if c.WantErrorCode == nil {
		return ""
	}
	want := map[string]pdp.FaultCode{"eval_conflict_error": pdp.FaultConflict, "eval_builtin_error": pdp.FaultBuiltin,
		"eval_type_error": pdp.FaultBuiltin, "eval_with_merge_error": pdp.FaultConflict, "eval_internal_error": pdp.FaultInternal}[*c.WantErrorCode]
	if got := r.Faults[0].Code; got != want {
		return "fault " + got.String() + " where " + *c.WantErrorCode + " is wanted"
	}
	return ""
}

func wantResult(c *cases.TestCase, r *pdp.Result, wrapped bool, vars []string) string {
	want := *c.WantResult
	var got any
	if r.Defined {
		got = decode(string(r.Out.AppendJSON(nil, 0)))
	}
	if !wrapped {
		if !r.Defined {
			if len(want) == 0 {
				return ""
			}
			return "undefined where a result is wanted"
		}
		if len(want) == 0 {
			return "a result where none is wanted"
		}
		return same(want[0]["x"], got, c.SortBindings)
	}
	answers, _ := got.([]any)
	if len(answers) != len(want) {
		return fmt.Sprintf("%d answers where %d are wanted", len(answers), len(want))
	}
	for _, w := range want {
		if !slices.ContainsFunc(answers, func(a any) bool {
			for _, v := range vars {
				if same(w[v], a.(map[string]any)[v], c.SortBindings) != "" {
					return false
				}
			}
			return true
		}) {
			return fmt.Sprintf("no answer like %v", w)
		}
	}
	return ""
}

func decode(text string) (v any) {
	if err := util.UnmarshalJSON([]byte(text), &v); err != nil {
		return err
	}
	return v
}

func same(want, got any, sorted bool) string {
	if sorted {
		if l, ok := want.([]any); ok {
			slices.SortFunc(l, util.Compare)
		}
		if l, ok := got.([]any); ok {
			slices.SortFunc(l, util.Compare)
		}
	}
	if util.Compare(want, got) != 0 {
		return fmt.Sprintf("got %v, want %v", got, want)
	}
	return ""
}
