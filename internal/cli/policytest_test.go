package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
)

var tested = map[string]string{
	"p/spend.json": strings.ReplaceAll(structured, "  {\"rule_id\"", "\n  {\"rule_id\""),
	"p/tool.rego": `package policies.tool

allow contains "look" if input.action.name == "look"

deny contains "break" if {
	input.action.name == "break"
	input.resource.id == "glass"
}
`,
	"p/tool_test.rego": `package policies.tool_test

import data.policies.spend
import data.policies.tool

test_look if tool.allow["look"] with input as {"action": {"name": "look"}}

test_cap_of_the_structured_policy if {
	some r in spend.deny with input as {"action": {"name": "pay", "properties": {"amount": 2000}}}
	r.rule == "cap"
}

todo_test_later if false
`,
	"bad/bad_test.rego": `package bad_test

test_wrong if {
	print("got", 1 + 1)
	1 == 2
}

test_right if true
`,
}

func TestPolicyTest(t *testing.T) {
	cases := []struct {
		name string
		call
		code int
		out  []string
		not  []string
		err  string
	}{
		{"all pass", call{args: "policy test DIR/p"}, 0, []string{"skip  DIR/p/tool_test.rego:13: data.policies.tool_test.todo_test_later\n", "2 passed, 1 skipped\n"},
			[]string{"test_look", "coverage"}, ""},
		{"by name when asked", call{args: "policy test -v DIR/p"}, 0,
			[]string{"pass  DIR/p/tool_test.rego:6: data.policies.tool_test.test_look (", "test_cap_of_the_structured_policy ("}, nil, ""},
		{"one fails, and what it printed is shown", call{args: "policy test DIR/bad"}, 1,
			[]string{"fail  DIR/bad/bad_test.rego:3: data.bad_test.test_wrong\n      got 2\n", "1 passed, 1 failed\n"}, nil, ""},
		{"only those asked for", call{args: "policy test DIR/bad --run test_right"}, 0, []string{"1 passed\n"}, []string{"test_wrong"}, ""},
		{"coverage of both forms, without tests and built-in policies", call{args: "policy test DIR/p --coverage"}, 0,
			[]string{"DIR/p/spend.json", "not reached: ", "DIR/p/tool.rego"}, []string{"builtin", "tool_test.rego  "}, ""},
		{"coverage below the threshold", call{args: "policy test DIR/p --threshold 99"}, 1, []string{"2 passed", "DIR/p/tool.rego"}, nil,
			"%, below the threshold of 99%\n"},
		{"coverage above the threshold", call{args: "policy test DIR/p --threshold 10"}, 0, []string{"coverage"}, nil, ""},
		{"no test", call{args: "policy test DIR/p/spend.json"}, 2, nil, nil,
			"thymus: no test was found: expected rules that begin with test_ in files that end in _test.rego\n"},
		{"no test of that name", call{args: "policy test DIR/p --run nowhere"}, 2, nil, nil, "thymus: no test was found"},
		{"no path", call{args: "policy test"}, 2, nil, nil, "thymus: expected a policy path"},
		{"no regexp", call{args: "policy test DIR/p --run ("}, 2, nil, nil, "thymus: --run: error parsing regexp: missing closing ): `(`\n"},
		{"no percentage", call{args: "policy test DIR/p --threshold 101"}, 2, nil, nil, "thymus: --threshold: got 101, expected a percentage from 0 to 100\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.files = tested
			out, errs, code := c.run(t)
			if code != c.code || !strings.Contains(errs, c.err) || c.err == "" && errs != "" {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
			for _, want := range c.out {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			for _, not := range c.not {
				if strings.Contains(out, not) {
					t.Errorf("%q is in\n%s", not, out)
				}
			}
		})
	}
}

func TestPolicyTestForPrograms(t *testing.T) {
	out, errs, code := call{args: "policy test -o json --coverage DIR/p", files: tested}.run(t)
	var got struct {
		Passed, Failed, Errors, Skipped int
		Tests                           []struct{ File, Package, Name, Outcome string }
		Coverage                        float64
		Files                           []struct {
			File            string
			Covered, Missed []int
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || errs != "" {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	if got.Passed != 2 || got.Skipped != 1 || got.Failed+got.Errors != 0 || len(got.Tests) != 3 || got.Tests[0].Outcome != "pass" {
		t.Errorf("got %+v", got)
	}
	if len(got.Files) != 2 || got.Coverage <= 0 || got.Coverage >= 100 {
		t.Fatalf("coverage is %+v", got)
	}
	lines, covered := 0, 0
	for _, f := range got.Files {
		covered += len(f.Covered)
		lines += len(f.Covered) + len(f.Missed)
		if len(f.Covered) == 0 {
			t.Errorf("nothing of %s was reached", f.File)
		}
	}
	if want := 100 * float64(covered) / float64(lines); got.Coverage != want {
		t.Errorf("coverage is %v, its files say %v", got.Coverage, want)
	}
}

func TestPolicyConvert(t *testing.T) {
	fromFile, errs, code := call{args: "policy convert DIR/p.json", files: map[string]string{"p.json": structured}}.run(t)
	if code != 0 || errs != "" || !strings.Contains(fromFile, "package policies.spend\n") || !strings.Contains(fromFile, `"rule": "cap"`) {
		t.Fatalf("exit %d\n%s%s", code, fromFile, errs)
	}
	fromStdin, _, _ := call{args: "policy convert", stdin: structured}.run(t)
	if fromStdin != fromFile {
		t.Errorf("standard input gives another policy:\n%s", fromStdin)
	}
	// What is printed is a policy that decides alike.
	for _, amount := range []string{"50", "500", "5000", `"5000"`, "null", "[]"} {
		ask := call{args: "check -o json --agent a --action pay", argv: []string{"--param", "amount=" + amount}}
		a, b := ask, ask
		a.argv, a.files = append(a.argv[:2:2], "DIR/p.json"), map[string]string{"p.json": structured}
		b.argv, b.files = append(b.argv[:2:2], "DIR/p.rego"), map[string]string{"p.rego": fromFile}
		outA, _, codeA := a.run(t)
		outB, errB, codeB := b.run(t)
		if codeA != codeB || reason(t, outA) != reason(t, outB) {
			t.Errorf("amount %s: exit %d and %d\n%s%s%s", amount, codeA, codeB, outA, outB, errB)
		}
	}
	for _, c := range []struct {
		call
		want string
	}{
		{call{args: "policy convert DIR/b.json", files: map[string]string{"b.json": badPolicy}}, "thymus: DIR/b.json:1:"},
		{call{args: "policy convert", stdin: badPolicy}, "thymus: standard input:1:"},
		{call{args: "policy convert", stdin: "[]"}, "thymus: standard input: "},
		{call{args: "policy convert DIR/none"}, "thymus: open DIR/none: no such file or directory\n"},
	} {
		if out, errs, code := c.run(t); code != 2 || out != "" || !strings.HasPrefix(errs, c.want) {
			t.Errorf("%s: exit %d\n%s%s", c.args, code, out, errs)
		}
	}
}

// reason is what a JSON answer gives as effect, rule and reason.
func reason(t *testing.T, out string) string {
	t.Helper()
	var a struct {
		Effect, Reason string
		Rule           *string `json:"matched_rule"`
	}
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if a.Rule == nil {
		return a.Effect + " " + a.Reason
	}
	return a.Effect + " " + *a.Rule + " " + a.Reason
}
