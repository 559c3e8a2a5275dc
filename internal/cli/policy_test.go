package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPolicyValidate(t *testing.T) {
	two := `{"policy_id":"two","rules":[{"rule_id":"r","effect":"denny"},{"effect":"deny","conditions":[{"field":"action","operator":"matches","value":"("}]}]}`
	outranks := `{"policy_id":"o","rules":[{"rule_id":"d","effect":"deny","priority":1},{"rule_id":"w","effect":"warn","priority":2}]}`
	misspelt := `{"policy_id":"m","rules":[{"rule_id":"r","effect":"allow","conditions":[{"field":"resource.tpye","operator":"==","value":"x"}]}]}`
	library := "package app\n\ndefault allow := false\n\nallow if input.action.name == \"read\"\n"
	cases := []struct {
		name string
		call
		code int
		out  []string // each stands in standard output
		err  string
	}{
		{"a sound policy", call{args: "policy validate DIR/p.json", files: map[string]string{"p.json": structured}}, 0,
			[]string{"3 policies, 6 rules, 0 warnings, revision "}, ""},
		{"every problem of every file", call{args: "policy validate DIR", files: map[string]string{"a.json": badPolicy, "b/two.json": two}}, 1,
			[]string{"problem: DIR/a.json:1:", "problem: DIR/b/two.json:1:", "denny", "rules[1].rule_id", "conditions[0].value", "4 problems\n"}, ""},
		{"a warn rule that outranks a deny", call{args: "policy validate DIR/o.json", files: map[string]string{"o.json": outranks}}, 0,
			[]string{"warning: DIR/o.json", ", 1 warning, revision "}, ""},
		{"the same with --strict", call{args: "policy validate --strict DIR/o.json", files: map[string]string{"o.json": outranks}}, 1,
			[]string{"warning: DIR/o.json"}, ""},
		{"a misspelt field", call{args: "policy validate DIR/m.json", files: map[string]string{"m.json": misspelt}}, 0,
			[]string{"warning: DIR/m.json:1:", `policy m: rule r: rules[0].conditions[0].field: "resource.tpye"`, `(did you mean "resource.type"?)`, ", 1 warning, revision "}, ""},
		{"a misspelt field with --strict", call{args: "policy validate --strict DIR/m.json", files: map[string]string{"m.json": misspelt}}, 1,
			[]string{"warning: "}, ""},
		{"an entrypoint that nothing defines", call{args: "policy validate --set policies.entrypoint=app/alow DIR/a.rego", files: map[string]string{"a.rego": library}}, 1,
			[]string{`problem: policies.entrypoint: no rule and no data at "app/alow" (did you mean "app/allow"?)`, "1 problem\n"}, ""},
		{"an entrypoint for proxies that nothing defines", call{args: "policy validate --set extauthz.entrypoint=app/alow --set extauthz.listen=127.0.0.1:0 DIR/a.rego", files: map[string]string{"a.rego": library}}, 0,
			[]string{`warning: extauthz.entrypoint: no rule and no data at "app/alow"`, ", 1 warning, revision "}, ""},
		{"an entrypoint that is no decision", call{args: "policy validate --set policies.entrypoint=app DIR/a.rego", files: map[string]string{"a.rego": library}}, 0,
			[]string{"warning: policies.entrypoint: app is a package without a rule allowed or effect; expected a boolean", ", 1 warning, revision "}, ""},
		{"rules outside policies, and no entrypoint", call{args: "policy validate DIR/a.rego", files: map[string]string{"a.rego": library}}, 0,
			[]string{"warning: policies.entrypoint: is not set, and no policy lies in a package below policies: the rules of app answer the Data API alone", ", 1 warning, revision "}, ""},
		{"rules outside policies, and their entrypoint", call{args: "policy validate --set policies.entrypoint=app/allow DIR/a.rego", files: map[string]string{"a.rego": library}}, 0,
			[]string{", 0 warnings, revision "}, ""},
		{"nothing to validate", call{args: "policy validate"}, 2, nil, "thymus: expected a policy path, or policies.paths in the configuration\n"},
		{"an unknown flag", call{args: "policy validate --strikt x"}, 2, nil, "thymus: --strikt: unknown flag, did you mean --strict?\n"},
		{"an unknown command", call{args: "policy validat"}, 2, nil, "thymus: \"validat\" is no command of thymus policy, did you mean \"validate\"?\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := c.run(t)
			if code != c.code || errs != c.err {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
			for _, want := range c.out {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
		})
	}
}

func TestPolicyValidateForPrograms(t *testing.T) {
	out, errs, code := call{args: "policy validate -o json DIR/a.json", files: map[string]string{"a.json": badPolicy}}.run(t)
	var got struct {
		Valid    bool
		Problems []struct {
			File, Policy, Rule, Field, Detail, Nearest string
			Line, Column                               int
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 1 || errs != "" {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	if len(got.Problems) != 1 || got.Valid {
		t.Fatalf("got %+v", got)
	}
	p := got.Problems[0]
	if p.File != "DIR/a.json" || p.Line != 1 || p.Column == 0 || p.Policy != "bad" || p.Rule != "r" || p.Field != "rules[0].effect" ||
		p.Detail == "" || p.Nearest != "allow" {
		t.Errorf("got %+v", p)
	}
}

func TestPolicyList(t *testing.T) {
	off := `{"policy_id":"off","enabled":false,"rules":[{"rule_id":"r","effect":"deny"}]}`
	files := map[string]string{"p.json": structured, "off.json": off}
	out, errs, code := call{args: "policy list DIR --set policies.builtin=false", files: files}.run(t)
	want := `ID     NAME      VERSION  FORM        RULES  DEFAULT  ENABLED  ORIGIN
off    -         -        structured  1      -        false    DIR/off.json
spend  Spending  2.0.0    structured  3      allow    true     DIR/p.json
`
	if code != 0 || errs != "" || out != want {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	out, _, code = call{args: "policy list -o json DIR/p.json", files: files}.run(t)
	var got struct {
		Items []struct {
			ID     string `json:"policy_id"`
			Form   string
			Rules  int
			Origin string
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || len(got.Items) != 3 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if i := got.Items[2]; i.ID != "spend" || i.Form != "structured" || i.Rules != 3 || i.Origin != "DIR/p.json" {
		t.Errorf("got %+v", i)
	}
}
