package native_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
	"thymus/rules/native"
)

// spreadRules is random rules that several policies share out among them: the policy, effect and number of each.
type spreadRules struct {
	bodies []string
	policy []int
	effect []string
}

// engine compiles the rules with policies and rules named by the two functions, modules and sets in the given order.
func (s *spreadRules) engine(t *testing.T, policies []int, policyName, ruleName func(int) string) *native.Engine {
	mods, o := map[string]string{}, native.Options{}
	for at, p := range policies {
		var b strings.Builder
		fmt.Fprintf(&b, "package policies.%s\n", policyName(p))
		for i, body := range s.bodies {
			if s.policy[i] == p {
				fmt.Fprintf(&b, "%s contains {\"rule\": %q, \"priority\": %d} if {\n%s\n", s.effect[i], ruleName(i), i%3, strings.TrimRight(body, "\n"))
			}
		}
		mods[fmt.Sprintf("%d.rego", at)] = b.String()
		for _, e := range []pdp.Effect{pdp.Deny, pdp.Allow} {
			o.Sets = append(o.Sets, native.Set{Ref: ast.MustParseRef("data.policies." + policyName(p) + "." + e.String()), Policy: int32(p), Effect: e})
		}
	}
	e, rep := mustCompile(t, mods, o)
	if len(rep.Unable) > 0 {
		t.Fatal(rep.Unable)
	}
	return e
}

// found is what matches, with the names that rules have by number.
func (s *spreadRules) found(e *native.Engine, in *pdp.Doc, ruleName func(int) string) string {
	var r pdp.Result
	e.Match(in, &pdp.Budget{}, &r)
	if len(r.Faults) > 0 {
		return "fault"
	}
	var out []string
	for _, m := range r.Matches {
		n := -1
		for i := range s.bodies {
			if ruleName(i) == r.Out.Str(m.ID) {
				n = i
			}
		}
		out = append(out, fmt.Sprint(n, m.Policy, m.Effect, m.Priority))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// TestOrderAndNamesOfPoliciesDoNotMatter loads policies in another order, and under other names, with other rule ids.
func TestOrderAndNamesOfPoliciesDoNotMatter(t *testing.T) {
	const policies = 4
	matched := 0
	for seed := int64(1); seed <= 70; seed++ {
		a := &author{r: rand.New(rand.NewSource(seed)), text: "package t\n"}
		s := &spreadRules{}
		for _, b := range randomSet(a, 1).bodies {
			s.bodies = append(s.bodies, b)
			s.policy = append(s.policy, a.r.Intn(policies))
			s.effect = append(s.effect, a.pick("deny", "allow"))
		}
		name, rule := func(p int) string { return fmt.Sprintf("p%d", p) }, func(i int) string { return fmt.Sprintf("r%d", i) }
		other, renamed := func(p int) string { return fmt.Sprintf("z%d.q", policies-p) }, func(i int) string { return fmt.Sprintf("rule %d", 1000-i) }
		first := s.engine(t, []int{0, 1, 2, 3}, name, rule)
		reordered := s.engine(t, a.r.Perm(policies), name, rule)
		elsewhere := s.engine(t, []int{0, 1, 2, 3}, other, renamed)
		for range 12 {
			js := a.input()
			in := parse(t, js)
			want := s.found(first, in, rule)
			if want != "" && want != "fault" {
				matched++
			}
			if got := s.found(reordered, in, rule); got != want {
				t.Fatalf("seed %d, another order, input %s\nbefore %s\nafter  %s", seed, js, want, got)
			}
			if got := s.found(elsewhere, in, renamed); got != want {
				t.Fatalf("seed %d, other names, input %s\nbefore %s\nafter  %s", seed, js, want, got)
			}
		}
	}
	if matched < 100 {
		t.Errorf("only %d of the inputs matched anything", matched)
	}
}
