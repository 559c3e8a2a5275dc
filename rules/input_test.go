package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"thymus/rules"
)

func warnings(set *rules.Set) string {
	var out []string
	for _, w := range set.Warnings() {
		out = append(out, w.Error())
	}
	return strings.Join(out, "\n")
}

func TestFieldsThatNoCallHasAreWarnedOf(t *testing.T) {
	for _, c := range []struct{ field, want string }{
		{"agent_id", ""}, {"agent_role", ""}, {"agent.role", ""}, {"action", ""}, {"resource", ""}, {"params", ""}, {"environment", ""},
		{"params.tpye", ""}, {"environment.anything.at.all", ""}, {"context.tpye", ""}, {"subject.properties.rolle", ""},
		{"action.properties.x.y", ""}, {"resource.properties", ""}, {"attributes.request.http.hedaers", ""}, {"parsed_body.agent_rolle", ""},
		{"version.ext_authz", ""}, {"peer.uid", ""}, {"subject", ""}, {"truncated_body", ""},

		{"resource.tpye", `"resource.tpye": "resource" of the input has id, properties and type; the condition never holds (did you mean "resource.type"?)`},
		{"subject.rolle", `"subject" of the input has id, properties and type; the condition never holds (did you mean "subject.properties.rolle"?)`},
		{"subject.propertis.role", `(did you mean "subject.properties.role"?)`},
		{"agent_rolle", `no call has "agent_rolle" in its input; the condition never holds (did you mean "agent_role"?)`},
		{"agent.rolle", `(did you mean "agent.role"?)`},
		{"role", `(did you mean "agent_role"?)`},
		{"parms.amount", `(did you mean "params.amount"?)`},
		{"enviroment.ip", `(did you mean "environment.ip"?)`},
		{"env.ip", `(did you mean "environment.ip"?)`},
		{"input.action.name", `no call has "input" in its input; the condition never holds (did you mean "action.name"?)`},
		{"action.name.verb", `"action.name" is a text or a number, in which nothing lies; the condition never holds (did you mean "action"?)`},
		{"agent_id.x", `(did you mean "agent_id"?)`},
		{"peer.adress", `"peer" of the input has gid, pid, principal, surface, transport and uid; the condition never holds`},
		{"quite.another", `no call has "quite" in its input; the condition never holds`},
	} {
		policy := fmt.Sprintf("policy_id: p\nrules:\n  - rule_id: r\n    effect: allow\n    conditions:\n      - {field: action, operator: '==', value: x}\n      - {field: %q, operator: '==', value: x}\n", c.field)
		got := warnings(load(t, map[string]string{"p.yaml": policy}))
		if c.want == "" && got != "" || !strings.Contains(got, c.want) || c.want != "" && !strings.Contains(got, "p.yaml:7:17: policy p: rule r: rules[0].conditions[1].field: ") {
			t.Errorf("%s: %q, want %q", c.field, got, c.want)
		}
	}
}

func TestFieldsThatNoCallHasAreToldOfRulesThatAreOnAlone(t *testing.T) {
	rule := func(id, enabled, op string) string {
		return fmt.Sprintf(`{"rule_id":%q,"effect":"deny","enabled":%s,"conditions":[{"field":"subject.rol","operator":%q,"value":["x"]}]}`, id, enabled, op)
	}
	set := load(t, map[string]string{
		"a.json": `{"policy_id":"a","rules":[` + rule("off", "false", "in") + `,` + rule("on", "true", "not_in") + `]}`,
		"b.json": `{"policy_id":"b","enabled":false,"rules":[` + rule("r", "true", "in") + `]}`,
		// compiled together with Rego, and found all the same
		"c.json": `{"policy_id":"c","rules":[` + rule("r", "true", "in") + `]}`,
		"c.rego": "package policies.looks\n\nallow contains \"r\" if count(data.policies.c.deny) == 7\n",
	})
	got := warnings(set)
	if n := strings.Count(got, "subject"); strings.Count(got, "\n") != 1 || n == 0 || !strings.Contains(got, "policy a: rule on:") ||
		!strings.Contains(got, "the condition always holds") || !strings.Contains(got, "policy c: rule r:") {
		t.Error(got)
	}
}

func TestAnEntrypointThatIsNoDecisionIsWarnedOf(t *testing.T) {
	files := map[string]string{
		"a.rego": `package app

default allow := false
allow if input.action.name == "read"
effect := "warn"
level := 3
levels contains 1
word := "perhaps"
also := "perhaps" if input.x else := "allow"
either := 1 if input.x
either := true if not input.x
decision := {"allowed": true, "reason": "r"}
object := {"permitted": true}
made := {"permitted": x} if x := input.x
verdict.allowed if input.x
check(x) := x
`,
		"pkg.rego":  "package app.whole\n\nallowed if input.x\n",
		"data.json": `{"d":{"yes":true,"n":7}}`,
		"p.json":    `{"policy_id":"p","rules":[{"rule_id":"r","effect":"deny"}]}`,
	}
	for _, c := range []struct{ path, want string }{
		{"app/allow", ""}, {"data.app.allow", ""}, {"app/effect", ""}, {"app/also", ""}, {"app/either", ""}, {"app/decision", ""}, {"app/made", ""},
		{"app/verdict", ""}, {"app/whole", ""}, {"d/yes", ""},
		{"app/level", "is of type number"}, {"app/levels", "is a set"}, {"app/word", `is the text "perhaps"`}, {"app/object", "is an object without allowed or effect"},
		{"app/check", "is a function"}, {"d/n", "is of type number"}, {"d", "is an object"}, {"policies/p/deny", "a set"}, {"policies/p", "rule"},
	} {
		for _, engine := range []rules.Engine{rules.EngineNative, rules.EngineTopdown} {
			set := load(t, files, func(o *rules.Options) { o.Entrypoint, o.Engine = c.path, engine })
			got := warnings(set)
			if c.want == "" && got != "" || !strings.Contains(got, c.want) || c.want != "" && !strings.HasPrefix(got, "policies.entrypoint: "+c.path+" ") {
				t.Errorf("%s on %s: %q, want %q", c.path, engine, got, c.want)
			}
			// The same of a path that no entrypoint names, so that what lies there may be compiled by itself.
			if got := load(t, files, func(o *rules.Options) { o.Engine = engine }).Undecided(c.path); (got == "") != (c.want == "") {
				t.Errorf("%s, not the entrypoint, on %s: %q, want %q", c.path, engine, got, c.want)
			}
		}
	}
}
