package rules_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"thymus/rules"
)

// TestAwkwardPoliciesAreTheSameApartTogetherAndInRego has what scanners of text are particular about in every place of a
// structured policy: one that is compiled by itself must be one that is compiled with others, or converted, too.
func TestAwkwardPoliciesAreTheSameApartTogetherAndInRego(t *testing.T) {
	rule := func(s, field, operator, value string) string {
		return fmt.Sprintf(`{"policy_id":"p","name":%[1]s,"rules":[{"rule_id":%[1]s,"name":%[1]s,"message":%[1]s,"effect":"allow","conditions":[
{"field":"action","operator":"==","value":"read"},{"field":%[2]s,"operator":%[3]q,"value":%[4]s}]}]}`, s, field, operator, value)
	}
	type odd struct{ policy, input string }
	cases := map[string]odd{}
	for _, r := range []rune{0x7f, 0x80, 0x85, 0x9f, 0xfeff, 0xfffd, 0xfffe, 0xffff, 0x2028, 0x1f, 0x0, 0x1fffe, 'é', '`', '"', '\\'} {
		s := jsonText("a" + string(r) + "b")
		cases["the character "+strconv.QuoteRuneToASCII(r)] = odd{rule(s, jsonText("params.a"+string(r)+"b"), "==", s),
			`{"action":{"name":"read","properties":{` + s + `:` + s + `}}}`}
	}
	for _, v := range []string{"-1", "-0", "-0.5", "-1e2", "1e400", "1"} {
		cases["a list that contains "+v] = odd{rule(`"r"`, `"params.list"`, "contains", v),
			`{"action":{"name":"read","properties":{"list":["x",` + v + `]}}}`}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			converted, err := rules.Convert([]byte(c.policy))
			if err != nil {
				t.Fatal(err)
			}
			for kind, o := range map[string]rules.Options{
				"apart":     {Extra: []rules.Source{stored("p", c.policy)}},
				"together":  {Extra: []rules.Source{stored("p", c.policy), stored("q", "package policies.q\n\naudit contains \"x\" if count(data.policies.p.deny) > 0\n")}},
				"topdown":   {Engine: rules.EngineTopdown, Extra: []rules.Source{stored("p", c.policy)}},
				"converted": {Extra: []rules.Source{stored("p", string(converted[strings.Index(string(converted), "package "):]))}},
				"a file":    {Paths: []string{dir(t, map[string]string{"p.rego": string(converted)})}},
			} {
				set, err := rules.Load(t.Context(), o)
				if err != nil {
					t.Errorf("%s: %v", kind, err)
					continue
				}
				if got, _ := decide(t, set, c.input); got.Effect.String() != "allow" {
					t.Errorf("%s: %v, %s", kind, got.Effect, got.Reason)
				}
				if r := set.Snapshot.Rules[0]; r.Name != r.ID || r.Reason != r.ID {
					t.Errorf("%s: the rule is %+v", kind, r)
				}
			}
		})
	}
}
