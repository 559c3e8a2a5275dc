package rules_test

import (
	"testing"

	"thymus/rules"
)

func input(role, action string) string {
	return `{"subject":{"type":"agent","id":"a","properties":{"role":"` + role + `"}},"action":{"name":"` + action +
		`","properties":{"amount":5000}},"resource":{"type":"","id":"db.prod"},"context":{}}`
}

func TestBuiltinPolicies(t *testing.T) {
	set, err := rules.Load(t.Context(), rules.Options{Builtin: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, role, action, reason, rule string }{
		{"an admin may do anything", "admin", "delete", "Allowed by rule 'Admin Allow All'", "admin_allow_all"},
		{"a guest may read", "guest", "read", "Allowed by rule 'Guest Read Allow'", "guest_read_allow"},
		{"read may be a word among others", "guest", "file.read-all", "Allowed by rule 'Guest Read Allow'", "guest_read_allow"},
		{"thread is not read", "guest", "thread", "No matching rules - applied default effect: deny", ""},
		{"a guest may not delete", "guest", "delete", "Denied by rule 'Guest Write Deny'", "guest_write_deny"},
		{"nobody else may do anything", "other", "read", "No matching rules - applied default effect: deny", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, r := decide(t, set, input(c.role, c.action))
			if d.Reason != c.reason || d.Rule != c.rule {
				t.Errorf("got %q by %q, want %q by %q, %+v", d.Reason, d.Rule, c.reason, c.rule, r.Faults)
			}
		})
	}
}

func TestStructuredAndRegoTogether(t *testing.T) {
	set := load(t, map[string]string{
		"limits.yaml": `
policy_id: limits
default_effect: allow
rules:
  - rule_id: large
    effect: deny
    conditions:
      - {field: params.amount, operator: ">", value: 1000}
      - {field: agent_role, operator: in, value: [clerk, guest]}
    message: too large
`,
		"prod.rego": `# METADATA
# title: Production
# custom: {version: 1.0.0, default_effect: warn}
package policies.prod

import data.teams

warn contains {"rule": "prod", "priority": 10, "reason": sprintf("%s touches production", [input.subject.id])} if {
	endswith(input.resource.id, ".prod")
	input.subject.id in teams.members
}
`,
		"teams/data.json": `{"members": ["a", "b"]}`,
	})
	d, r := decide(t, set, input("clerk", "pay"))
	if d.Reason != "a touches production" || len(d.Warnings) != 1 {
		t.Fatalf("got %+v %+v", d, r)
	}
	for _, amount := range []string{`"5000"`, `null`, `{}`, `5000`} {
		in := `{"subject":{"id":"x","properties":{"role":"clerk"}},"action":{"name":"p","properties":{"amount":` + amount + `}},"resource":{"id":"x"}}`
		if d, r := decide(t, set, in); d.Allowed || d.Reason != "too large" {
			t.Errorf("amount %s: got %+v %+v", amount, d, r)
		}
	}
	if d, _ := decide(t, set, `{"subject":{"id":"x","properties":{"role":"clerk"}},"action":{"name":"p","properties":{"amount":5}}}`); !d.Allowed {
		t.Errorf("got %+v", d)
	}
}

// OPA's rule index takes an escape in a glob for a part of the text, so that a deny would silently not match.
func TestAGlobWithAnEscapeMatches(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine func(*rules.Options)) {
		set := load(t, map[string]string{"p.json": `{"policy_id":"p","default_effect":"allow","rules":[
			{"rule_id":"star","effect":"deny","conditions":[{"field":"resource","operator":"glob","value":"a\\*/\\[x]"}]}]}`}, engine)
		for resource, allowed := range map[string]bool{`a*/[x]`: false, `ab/[x]`: true, `a\\*/\\[x]`: true} {
			d, _ := decide(t, set, `{"subject":{"id":"x","properties":{}},"action":{"name":"p"},"resource":{"id":"`+resource+`"}}`)
			if d.Allowed != allowed {
				t.Errorf("resource %s: got %+v", resource, d)
			}
		}
	})
}
