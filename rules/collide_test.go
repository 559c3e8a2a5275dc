package rules_test

import (
	"errors"
	"strings"
	"testing"

	"thymus/rules"
)

func TestPoliciesWhoseIDsExcludeEachOtherAreNamedTogether(t *testing.T) {
	source := func(id, text string) rules.Source {
		return rules.Source{ID: id, Form: rules.FormRego, Text: []byte(text), Origin: "api:" + id}
	}
	structured := rules.Source{ID: "a.allow", Form: rules.FormStructured, Origin: "api:a.allow",
		Text: []byte(`{"policy_id":"a.allow","rules":[{"rule_id":"r","effect":"deny"}]}`)}
	a := source("a", "package policies.a\nallow contains \"x\" if input.x\nallow contains \"y\" if input.y\n")
	for _, c := range []struct {
		name    string
		sources []rules.Source
		want    []string
	}{
		{"Rego above structured", []rules.Source{a, structured}, []string{`the policies "a" and "a.allow" (api:a.allow) exclude each other`}},
		{"two below one", []rules.Source{a, structured, source("a.allow.deep", "package policies.a.allow.deep\ndeny contains \"x\" if input.x\n")},
			[]string{`the policies "a" and "a.allow" (`, `the policies "a" and "a.allow.deep" (`}},
		{"beside another problem", []rules.Source{a, structured, source("b", "package policies.b\nallow contains x if y\n")},
			[]string{`the policies "a" and "a.allow" (`, "var x is unsafe"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := rules.Load(t.Context(), rules.Options{Extra: c.sources})
			var ps rules.Problems
			if !errors.As(err, &ps) || strings.Contains(err.Error(), "conflicts with") || strings.Count(err.Error(), "exclude") > len(c.want) {
				t.Fatalf("got %v", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("without %q:\n%v", w, err)
				}
			}
		})
	}
	if _, err := rules.Load(t.Context(), rules.Options{Extra: []rules.Source{a, source("a.b", "package policies.a.b\nallow contains \"x\" if input.x\n")}}); err != nil {
		t.Errorf("ids that only begin alike: %v", err)
	}
}

func TestReasonsDoNotTellWhereOnTheHostPoliciesLie(t *testing.T) {
	for file, want := range map[string]string{
		"/etc/thymus/policies/a.rego": "a.rego", "../elsewhere/a.rego": "a.rego", "policies/a.rego": "policies/a.rego", "api:a": "api:a",
	} {
		if got := rules.PlaceName(file); got != want {
			t.Errorf("%s is called %s", file, got)
		}
	}
}
