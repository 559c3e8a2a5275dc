package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
)

var explained = map[string]string{
	"spend.json": `{"policy_id":"spend","default_effect":"allow","rules":[
 {"rule_id":"cap","name":"Cap","effect":"deny","priority":100,"conditions":[{"field":"params.amount","operator":">","value":1000}]},
 {"rule_id":"big","effect":"warn","priority":10,"message":"large","conditions":[{"field":"params.amount","operator":">=","value":500},{"field":"agent_role","operator":"!=","value":"cfo"}]},
 {"rule_id":"wipe","effect":"deny","guardrail":true,"conditions":[{"field":"action","operator":"==","value":"wipe"}]},
 {"rule_id":"later","effect":"deny","enabled":false}]}`,
	"off.json": `{"policy_id":"off","enabled":false,"rules":[{"rule_id":"r","effect":"deny"}]}`,
	"prod.rego": `package policies.prod

import data.lib

deny contains {"rule": "night", "priority": 5} if {
	input.action.name == "pay"
	some h in input.context.hours
	h > 20
	not lib.exempt
}

allow contains {"rule": name, "priority": 3} if {
	name := input.context.team
	input.action.name == "pay"
}

audit contains "logged" if input.action.name == "pay"
`,
	"lib.rego": "package lib\n\nexempt if input.subject.id == \"root\"\n\nyes := 7 / input.context.x\n",
}

func TestCheckExplainsADecision(t *testing.T) {
	for _, c := range []struct {
		name, args string
		code       int
		want       string
	}{
		{"a field of the wrong type, which counts against a deny", `--param amount="50" --env team="ops" --env hours=[3,19]`, 1, `
spend/cap ranks first of the rules that match
RESULT     EFFECT  PRIORITY   RULE         WHY
decides    deny    100        spend/cap    params.amount is "50", which > cannot compare: that counts against a deny
outranked  allow   3          prod/ops     priority 3 is less than 100
outranked  audit   0          prod/logged  priority 0 is less than 100; its audit stands
no match   deny    5          prod/night   DIR/prod.rego:8: h > 20
no match   warn    10         spend/big    params.amount >= 500: it is "50"
no match   deny    guardrail  spend/wipe   action == "wipe": it is "pay"
off        deny    0          spend/later  the rule is switched off
disabled policies: off
`},
		{"several conditions, and what a negation refers to", `--agent root --role cfo --env hours=[3,22]`, 0, `
prod/logged is the only rule that matches
RESULT    EFFECT  PRIORITY   RULE         WHY
decides   audit   0          prod/logged  
no match  allow   -          prod/?       DIR/prod.rego:13: name := input.context.team
no match  deny    5          prod/night   DIR/prod.rego:9: not lib.exempt
no match  deny    100        spend/cap    params.amount > 1000: it is missing
no match  deny    guardrail  spend/wipe   action == "wipe": it is "pay"
no match  warn    10         spend/big    params.amount >= 500: it is missing; agent_role != "cfo": it is "cfo"
off       deny    0          spend/later  the rule is switched off
disabled policies: off
`},
		{"a guardrail", `--action wipe --param amount=2000`, 1, `
spend/wipe is a guardrail, which decides whatever the priorities
RESULT     EFFECT  PRIORITY   RULE         WHY
decides    deny    guardrail  spend/wipe   
outranked  deny    100        spend/cap    a guardrail decides whatever the priorities
outranked  warn    10         spend/big    a guardrail decides whatever the priorities; its warning stands
no match   allow   -          prod/?       DIR/prod.rego:13: name := input.context.team
`},
		{"a default", `--action look`, 0, `
no rule matches: default_effect allow of policy spend is the strictest
RESULT    EFFECT  PRIORITY   RULE         WHY
no match  allow   -          prod/?       DIR/prod.rego:13: name := input.context.team
no match  audit   0          prod/logged  DIR/prod.rego:17: audit contains "logged" if input.action.name == "pay"
no match  deny    5          prod/night   DIR/prod.rego:6: input.action.name == "pay"
no match  deny    100        spend/cap    params.amount > 1000: it is missing
no match  warn    10         spend/big    params.amount >= 500: it is missing
no match  deny    guardrail  spend/wipe   action == "wipe": it is "look"
off       deny    0          spend/later  the rule is switched off
`},
		{"an entrypoint that holds", `--agent root --set policies.entrypoint=lib/exempt`, 0, `
policies.entrypoint lib/exempt replaces the combination of rules
RESULT  EFFECT  PRIORITY  RULE        WHY
holds   -       -         lib/exempt  
disabled policies: off
`},
		{"an entrypoint that does not", `--set policies.entrypoint=lib/exempt`, 1, `
policies.entrypoint lib/exempt replaces the combination of rules
RESULT    EFFECT  PRIORITY  RULE        WHY
no match  -       -         lib/exempt  DIR/lib.rego:3: exempt if input.subject.id == "root"
disabled policies: off
`},
		{"an evaluation error", ``, 1, `
an evaluation error denies, whatever else matches
RESULT    EFFECT  PRIORITY   RULE         WHY
matches   audit   0          prod/logged  the evaluation failed, and no rule decides
no match  deny    0          bad/r        DIR/bad.rego:3: deny contains "r" if data.lib.yes > 1
no match  allow   -          prod/?       DIR/prod.rego:13: name := input.context.team
`},
	} {
		for _, engine := range []string{"native", "topdown"} {
			t.Run(c.name+" on "+engine, func(t *testing.T) {
				files := map[string]string{}
				for name, text := range explained {
					files[name] = text
				}
				argv := []string{"--explain", "--set", "policies.builtin=false", "--set", "rules.engine=" + engine, "--agent", "a", "--action", "pay"}
				if c.name == "an evaluation error" {
					files["bad.rego"] = "package policies.bad\n\ndeny contains \"r\" if data.lib.yes > 1\n"
					argv = append(argv, "--env", "x=0")
				} else {
					argv = append(argv, strings.Fields(c.args)...)
				}
				out, errs, code := call{args: "check", argv: append(argv, "DIR"), files: files}.run(t)
				if code != c.code || errs != "" || !strings.Contains(out, c.want) {
					t.Errorf("exit %d\n%s%s\nwant\n%s", code, out, errs, c.want)
				}
			})
		}
	}
}

func TestCheckExplainsForPrograms(t *testing.T) {
	out, errs, code := call{args: "check --explain -o json --agent a --action pay --param amount=700 DIR", files: explained}.run(t)
	var got struct {
		Allowed     bool
		Explanation struct {
			DecidedBy          string `json:"decided_by"`
			Matched, Unmatched []struct {
				Policy, Rule, Effect, Why, File string
				Priority, Line                  int
				Decides                         bool
				Conditions                      []struct {
					Field, Operator string
					Value, Found    any
					Holds           bool
				}
			}
			Disabled []string `json:"disabled_policies"`
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || errs != "" || !got.Allowed {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	x := got.Explanation
	if x.DecidedBy != "rule" || len(x.Matched) != 2 || !x.Matched[0].Decides || x.Matched[1].Decides || x.Matched[0].Rule != "big" ||
		len(x.Matched[0].Conditions) != 2 || !x.Matched[0].Conditions[1].Holds || x.Matched[0].Conditions[0].Found != 700.0 || len(x.Disabled) != 1 {
		t.Errorf("%+v", x)
	}
	for _, u := range x.Unmatched {
		if u.Decides || u.Why == "" || u.File == "" || u.Line == 0 {
			t.Errorf("%+v", u)
		}
	}
	out, _, _ = call{args: "check -o json --agent a --action pay DIR", files: explained}.run(t)
	if strings.Contains(out, "explanation") {
		t.Error("an explanation that nobody asked for", out)
	}
	_, errs, code = call{args: "check --explain --agent a --action pay --server http://127.0.0.1:1"}.run(t)
	if code != 2 || !strings.Contains(errs, "--explain goes without --server") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
