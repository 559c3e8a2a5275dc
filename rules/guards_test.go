package rules_test

import (
	"fmt"
	"testing"

	"thymus/rules"
)

// A step of a field may hold any character: two fields that read alike once joined must not share one guard, or one of
// the deny rules is never asked about odd fields.
func TestFieldsThatReadAlikeAreGuardedEach(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine func(*rules.Options)) {
		for _, sep := range []string{"\\u0000", "\\u0001", "\\\"", ","} {
			policy := func(id, field string) string {
				return fmt.Sprintf(`{"policy_id":%q,"rules":[{"rule_id":"r","effect":"deny","conditions":[{"field":"%s","operator":">","value":1000}]}]}`, id, field)
			}
			set := load(t, map[string]string{
				"a.json": policy("a", "params.x"+sep+"y"), "b.json": policy("b", "params.x.y"),
				"c.json": `{"policy_id":"c","rules":[{"rule_id":"r","effect":"allow"}]}`,
			}, engine)
			for _, params := range []string{fmt.Sprintf(`{"x%sy":"5000"}`, sep), `{"x":{"y":"5000"}}`, `{"x":7}`} {
				if d, _ := decide(t, set, `{"action":{"properties":`+params+`}}`); d.Allowed {
					t.Errorf("%s and params %s: allowed, though a field that a deny rule compares is of another type", sep, params)
				}
			}
		}
	})
}
