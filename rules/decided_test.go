package rules_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"thymus/rules"
)

// TestRulesThatDispatchDecidesHoldWhereTopdownSaysSo is about rules that ask nothing but what dispatch has looked at, and
// are not evaluated any more: many of them, with values that are equal in several ways of writing, with two tests of one
// value, with names for values of which nothing else is asked, and with a condition more that dispatch cannot know.
func TestRulesThatDispatchDecidesHoldWhereTopdownSaysSo(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	value := func() string {
		return pick(`"a"`, `"b"`, `"ab"`, `1`, `1.0`, `10e-1`, `2`, `true`, `false`, `null`, `""`, `["a"]`, `{"k":1}`)
	}
	fields := []string{"agent_role", "action", "params.n", "params.deep.x", "environment.zone"}
	refs := []string{"input.subject.properties.role", "input.action.name", "input.action.properties.n", "input.action.properties.deep.x", "input.context.zone"}
	condition := func() string {
		if r.IntN(4) == 0 {
			return fmt.Sprintf(`{"field":%q,"operator":"in","value":[%s,%s,%s]}`, pick(fields...), value(), value(), value())
		}
		if r.IntN(8) == 0 {
			return fmt.Sprintf(`{"field":%q,"operator":"!=","value":%s}`, pick(fields...), value())
		}
		return fmt.Sprintf(`{"field":%q,"operator":"==","value":%s}`, pick(fields...), value())
	}
	literal := func(i int) string {
		ref := pick(refs...)
		switch r.IntN(8) {
		case 0:
			return fmt.Sprintf("%s in {%s, %s}", ref, value(), value())
		case 1:
			return fmt.Sprintf("v%d := %s", i, ref) // asks only that there is a value
		case 2:
			return fmt.Sprintf("v%d := %s; v%d == %s", i, ref, i, value())
		case 3:
			return fmt.Sprintf("not %s == %s", ref, value())
		case 4:
			return fmt.Sprintf("%s == %s", value(), ref)
		}
		return fmt.Sprintf("%s == %s", ref, value())
	}
	several := func(sep string, one func(i int) string) string {
		var all []string
		for i := range 1 + r.IntN(3) {
			all = append(all, one(i))
		}
		return strings.Join(all, sep)
	}
	matched := 0
	for set := range 12 {
		var structured, rego []string
		for i := range 60 {
			structured = append(structured, fmt.Sprintf(`{"rule_id":"s%d","effect":%q,"conditions":[%s]}`, i, pick("allow", "deny", "warn", "audit"),
				several(",", func(int) string { return condition() })))
			rego = append(rego, fmt.Sprintf("%s contains \"r%d\" if { %s }", pick("allow", "deny", "warn", "audit"), i, several("; ", literal)))
		}
		o := rules.Options{Extra: []rules.Source{
			stored("s", `{"policy_id":"s","rules":[`+strings.Join(structured, ",")+`]}`),
			stored("g", "package policies.g\n\n"+strings.Join(rego, "\n\n")+"\n"),
		}}
		fast, slow := bothEngines(t, o)
		for range 150 {
			member := func(name string) string {
				if r.IntN(5) == 0 {
					return `"other":0`
				}
				return fmt.Sprintf("%q:%s", name, value())
			}
			in := fmt.Sprintf(`{"subject":{"type":"agent","id":"x","properties":{%s}},"action":{%s,"properties":{%s,"deep":{%s}}},"resource":{"id":"r"},"context":{%s}}`,
				member("role"), member("name"), member("n"), member("x"), member("zone"))
			got, want := matches(fast, tape(t, in)), matches(slow, tape(t, in))
			if got != want {
				t.Fatalf("set %d, %s\nnative\n%s\ntopdown\n%s", set, in, got, want)
			}
			matched += strings.Count(want, "\n")
		}
		if s := fast.Engine.Stats(); s.FellBack != 0 {
			t.Errorf("%d fell back", s.FellBack)
		}
	}
	if matched < 5000 {
		t.Errorf("only %d rules matched in all", matched)
	}
}
