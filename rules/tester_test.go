package rules_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"thymus/rules"
)

var testedFiles = map[string]string{
	"limits.yaml": "policy_id: limits\nrules:\n  - rule_id: large\n    effect: deny\n    conditions: [{field: params.amount, operator: \">\", value: 1000}]\n" +
		"  - rule_id: never_tested\n    effect: allow\n    conditions: [{field: action, operator: \"==\", value: read}]\n",
	"prod.rego": "package policies.prod\n\nwarn contains \"w\" if input.action.name == \"deploy\"\n\nwarn contains \"untested\" if {\n\tinput.x\n\tinput.y\n}\n",
	"all_test.rego": `package all_test

test_large if data.policies.limits.deny == {{"rule": "large"}} with input.action.properties.amount as 5000

test_odd if data.policies.limits.deny == {{"rule": "large"}} with input.action.properties.amount as "5000"

test_warns if "w" in data.policies.prod.warn with input as {"action": {"name": "deploy"}}

test_wrong if data.policies.prod.warn == {"other"}

test_conflict if f(1) == 3

f(x) := 1 if x == 1

f(x) := 2 if x == 1

todo_test_later if false
`,
}

func TestPolicyTests(t *testing.T) {
	root := dir(t, testedFiles)
	r, err := rules.Test(t.Context(), []string{root}, rules.TestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range r.Tests {
		got = append(got, c.Name+" "+string(c.Outcome))
	}
	want := []string{"test_large pass", "test_odd pass", "test_warns pass", "test_wrong fail", "test_conflict error", "todo_test_later skip"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if r.Count(rules.Passed) != 3 || r.Count(rules.Failed) != 1 || r.Count(rules.Broken) != 1 || r.Count(rules.Skipped) != 1 {
		t.Errorf("counts of %v", got)
	}
	if c := r.Tests[0]; c.Line != 3 || !strings.HasSuffix(c.File, "all_test.rego") || c.Package != "data.all_test" {
		t.Errorf("%+v", c)
	}
	cover := map[string]rules.FileCoverage{}
	for _, f := range r.Files {
		cover[strings.TrimPrefix(f.File, root+"/")] = f
	}
	if c := cover["limits.yaml"]; !slices.Equal(c.Covered, []int{3}) || !slices.Equal(c.Missed, []int{6}) {
		t.Errorf("structured: %+v", c)
	}
	if c := cover["prod.rego"]; !slices.Contains(c.Covered, 3) || !slices.Contains(c.Missed, 7) {
		t.Errorf("rego: %+v", c)
	}
	if len(cover) != 2 || r.Coverage <= 0 || r.Coverage >= 100 {
		t.Errorf("%+v", r)
	}
	r, err = rules.Test(t.Context(), []string{root}, rules.TestOptions{Filter: "test_odd"})
	if err != nil || len(r.Tests) != 1 {
		t.Errorf("filtered: %+v, %v", r, err)
	}
	if _, err = rules.Test(t.Context(), []string{dir(t, map[string]string{"a_test.rego": "package x\n\ntest_a if nope(1)\n"})}, rules.TestOptions{}); err == nil ||
		!strings.Contains(err.Error(), "a_test.rego:3:11: rego_type_error: undefined function nope") {
		t.Errorf("got %v", err)
	}
}

// TestConvertIsWhatRuns: the Rego that Convert prints is the golden file's, loads as a policy in place of the structured
// one, and says the same of itself.
func TestConvertIsWhatRuns(t *testing.T) {
	source, err := os.ReadFile("testdata/convert/payments.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := rules.Convert(source)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		must(t, os.WriteFile("testdata/convert/payments.golden", got, 0o644))
	}
	want, err := os.ReadFile("testdata/convert/payments.golden")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	a := load(t, map[string]string{"p.yaml": string(source)})
	b := load(t, map[string]string{"p.rego": string(got)})
	pa, pb := a.Policies[0], b.Policies[0]
	if pa.Name != pb.Name || pa.Version != pb.Version || pa.Description != pb.Description || pa.Default != pb.Default || pa.ID != pb.ID {
		t.Errorf("%+v\n%+v", pa, pb)
	}
	for _, in := range []string{input("clerk", "pay"), input("guest", "read"), `{"action":{"name":"pay","properties":{"amount":"1e9"}},"context":{"ip":"x"}}`} {
		da, _ := decide(t, a, in)
		db, _ := decide(t, b, in)
		if da.Reason != db.Reason || da.Effect != db.Effect {
			t.Errorf("%s: %q and %q", in, da.Reason, db.Reason)
		}
	}
	for _, bad := range []string{`{"rules":[]}`, `[]`, ``, `{"policy_id":"x"}`, "a: [", "policy_id: x\nrules: 5\n"} {
		if _, err := rules.Convert([]byte(bad)); err == nil {
			t.Errorf("%q converts", bad)
		}
	}
}
