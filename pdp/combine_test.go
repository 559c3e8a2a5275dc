package pdp_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"thymus/pdp"
)

// found is one matching rule in words: what a test says, of which situation makes a Snapshot and a Result.
type found struct {
	policy, id, name, reason string
	effect                   pdp.Effect
	priority                 int64
	guardrail, dynamic       bool
}

// situation is the snapshot and the result in which the given rules match.
func situation(fs []found) (*pdp.Snapshot, *pdp.Result) {
	s := &pdp.Snapshot{Revision: "rev"}
	for _, f := range fs {
		if !slices.ContainsFunc(s.Policies, func(p pdp.Policy) bool { return p.ID == f.policy }) {
			s.Policies = append(s.Policies, pdp.Policy{ID: f.policy})
		}
		if !f.dynamic {
			s.Rules = append(s.Rules, row(f))
		}
	}
	slices.SortFunc(s.Policies, func(a, b pdp.Policy) int { return cmp.Compare(a.ID, b.ID) })
	pdp.SortRules(s.Rules)
	r := &pdp.Result{}
	for _, f := range fs {
		m := pdp.Match{Rule: -1, Effect: f.effect, Priority: f.priority, Guardrail: f.guardrail}
		m.Policy = int32(slices.IndexFunc(s.Policies, func(p pdp.Policy) bool { return p.ID == f.policy }))
		if f.dynamic {
			m.ID, m.Name, m.Reason = r.Out.AddText(f.id), r.Out.AddText(f.name), r.Out.AddText(f.reason)
		} else {
			m.Rule = int32(slices.Index(s.Rules, row(f)))
		}
		r.Matches = append(r.Matches, m)
	}
	return s, r
}

func row(f found) pdp.Rule {
	return pdp.Rule{Policy: f.policy, ID: f.id, Name: f.name, Reason: f.reason, Effect: f.effect, Guardrail: f.guardrail,
		Priority: f.priority, Sentence: pdp.Sentence(f.effect, f.id, f.name, f.reason)}
}

// answer is what of a decision reaches a caller.
type answer struct {
	Allowed  bool
	Effect   pdp.Effect
	Audit    bool
	Matched  string // policy/rule, "-" for null
	Reason   string
	Warnings []string
}

func (a answer) String() string {
	return fmt.Sprintf("%v %s audit=%v %s %q %q", a.Allowed, a.Effect, a.Audit, a.Matched, a.Reason, a.Warnings)
}

func read(d *pdp.Decision) answer {
	a := answer{Allowed: d.Allowed, Effect: d.Effect, Audit: d.Audit, Matched: "-", Reason: strings.Clone(d.Reason)}
	if d.Matched {
		a.Matched = d.Policy + "/" + d.Rule
	}
	for _, w := range d.Warnings {
		a.Warnings = append(a.Warnings, strings.Clone(w))
	}
	return a
}

var asked = &pdp.Request{Action: "write"}

func combine(s *pdp.Snapshot, r *pdp.Result) answer {
	var d pdp.Decision
	d.Reset()
	pdp.Combine(s, asked, r, &d)
	return read(&d)
}

func TestCombinationOfMatchingRules(t *testing.T) {
	for name, c := range map[string]struct {
		found []found
		want  answer
	}{
		"one allow": {
			[]found{{policy: "p", id: "r", effect: pdp.Allow}},
			answer{Allowed: true, Effect: pdp.Allow, Matched: "p/r", Reason: "Allowed by rule 'r'"},
		},
		"a name stands in the reason, the id in the match": {
			[]found{{policy: "p", id: "r", name: "Rule R", effect: pdp.Deny}},
			answer{Effect: pdp.Deny, Matched: "p/r", Reason: "Denied by rule 'Rule R'"},
		},
		"the stricter of two effects at one priority": {
			[]found{{policy: "p", id: "a", effect: pdp.Allow, priority: 3}, {policy: "p", id: "b", effect: pdp.Deny, priority: 3}},
			answer{Effect: pdp.Deny, Matched: "p/b", Reason: "Denied by rule 'b'"},
		},
		"audit is stricter than warn, and the warning stays": {
			[]found{{policy: "p", id: "a", effect: pdp.Warn}, {policy: "p", id: "b", effect: pdp.Audit}},
			answer{Allowed: true, Effect: pdp.Audit, Audit: true, Matched: "p/b",
				Reason: "Allowed with audit requirement by rule 'b'", Warnings: []string{"Action 'write' triggered warning rule"}},
		},
		"a larger priority outranks a deny": {
			[]found{{policy: "p", id: "a", effect: pdp.Allow, priority: 10}, {policy: "p", id: "b", effect: pdp.Deny, priority: 9}},
			answer{Allowed: true, Effect: pdp.Allow, Matched: "p/a", Reason: "Allowed by rule 'a'"},
		},
		"priorities may be negative and large": {
			[]found{{policy: "p", id: "a", effect: pdp.Allow, priority: -1 << 63}, {policy: "p", id: "b", effect: pdp.Deny, priority: 1<<63 - 1}},
			answer{Effect: pdp.Deny, Matched: "p/b", Reason: "Denied by rule 'b'"},
		},
		"a guardrail outranks every priority": {
			[]found{{policy: "p", id: "a", effect: pdp.Allow, priority: 1000},
				{policy: "q", id: "b", effect: pdp.Deny, priority: -5, guardrail: true}, {policy: "a", id: "c", effect: pdp.Deny, priority: 2000}},
			answer{Effect: pdp.Deny, Matched: "q/b", Reason: "Denied by rule 'b'"},
		},
		"a guardrail that is no deny is an ordinary rule": {
			[]found{{policy: "p", id: "a", effect: pdp.Allow, guardrail: true}, {policy: "p", id: "b", effect: pdp.Deny, priority: 1}},
			answer{Effect: pdp.Deny, Matched: "p/b", Reason: "Denied by rule 'b'"},
		},
		"of two guardrails the first by id, whatever their priorities": {
			[]found{{policy: "p", id: "z", effect: pdp.Deny, priority: 9, guardrail: true},
				{policy: "p", id: "y", effect: pdp.Deny, priority: 1, guardrail: true}},
			answer{Effect: pdp.Deny, Matched: "p/y", Reason: "Denied by rule 'y'"},
		},
		"obligations are never outranked": {
			[]found{{policy: "p", id: "a", effect: pdp.Deny, priority: 5}, {policy: "b", id: "w", effect: pdp.Warn, reason: "careful"},
				{policy: "a", id: "u", effect: pdp.Audit, priority: -1}},
			answer{Effect: pdp.Deny, Audit: true, Matched: "p/a", Reason: "Denied by rule 'a'", Warnings: []string{"careful"}},
		},
		"a warn decides with its message as reason": {
			[]found{{policy: "p", id: "w", effect: pdp.Warn, reason: "careful"}},
			answer{Allowed: true, Effect: pdp.Warn, Matched: "p/w", Reason: "careful", Warnings: []string{"careful"}},
		},
		"a warn without message": {
			[]found{{policy: "p", id: "w", name: "W", effect: pdp.Warn}},
			answer{Allowed: true, Effect: pdp.Warn, Matched: "p/w", Reason: "Allowed with warning by rule 'W'",
				Warnings: []string{"Action 'write' triggered warning rule"}},
		},
		"a value made by the policy": {
			[]found{{policy: "p", id: "r", name: "N", effect: pdp.Deny, dynamic: true}},
			answer{Effect: pdp.Deny, Matched: "p/r", Reason: "Denied by rule 'N'"},
		},
		"a value made by the policy, with its own reason": {
			[]found{{policy: "p", id: "r", effect: pdp.Warn, reason: "made", dynamic: true}},
			answer{Allowed: true, Effect: pdp.Warn, Matched: "p/r", Reason: "made", Warnings: []string{"made"}},
		},
		"warnings come by policy and rule": {
			[]found{{policy: "b", id: "1", effect: pdp.Warn, reason: "three"}, {policy: "a", id: "2", effect: pdp.Warn, reason: "two", dynamic: true},
				{policy: "a", id: "10", effect: pdp.Warn, reason: "one"}},
			answer{Allowed: true, Effect: pdp.Warn, Matched: "a/10", Reason: "one", Warnings: []string{"one", "two", "three"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := combine(situation(c.found)); got.String() != c.want.String() {
				t.Errorf("\ngot  %v\nwant %v", got, c.want)
			}
		})
	}
}

func TestCombinationWithoutMatches(t *testing.T) {
	policies := []pdp.Policy{{ID: "p"}}
	for _, c := range []struct {
		policies []pdp.Policy
		def      pdp.Effect
		want     string
	}{
		{nil, pdp.Allow, `false deny audit=false - "No policies configured - default deny" []`},
		{policies, pdp.None, `false deny audit=false - "No matching rules - applied default effect: deny" []`},
		{policies, pdp.Deny, `false deny audit=false - "No matching rules - applied default effect: deny" []`},
		{policies, pdp.Allow, `true allow audit=false - "No matching rules - applied default effect: allow" []`},
		{policies, pdp.Warn, `true warn audit=false - "No matching rules - applied default effect: warn" []`},
		{policies, pdp.Audit, `true audit audit=false - "No matching rules - applied default effect: audit" []`},
	} {
		if got := combine(&pdp.Snapshot{Policies: c.policies, Default: c.def}, &pdp.Result{}).String(); got != c.want {
			t.Errorf("%v, default %q: got %s", c.policies, c.def, got)
		}
	}
}

func TestStrictestDefault(t *testing.T) {
	for _, c := range []struct {
		defaults []pdp.Effect
		want     pdp.Effect
	}{
		{nil, pdp.None}, {[]pdp.Effect{pdp.None, pdp.None}, pdp.None}, {[]pdp.Effect{pdp.None, pdp.Allow}, pdp.Allow},
		{[]pdp.Effect{pdp.Warn, pdp.Allow}, pdp.Warn}, {[]pdp.Effect{pdp.Warn, pdp.Audit, pdp.Allow}, pdp.Audit},
		{[]pdp.Effect{pdp.Deny, pdp.Audit}, pdp.Deny},
	} {
		var ps []pdp.Policy
		for _, e := range c.defaults {
			ps = append(ps, pdp.Policy{Default: e})
		}
		if got := pdp.StrictestDefault(ps); got != c.want {
			t.Errorf("%v: got %s", c.defaults, got)
		}
	}
}

func TestAFaultDeniesWhateverMatched(t *testing.T) {
	s, r := situation([]found{{policy: "p", id: "a", effect: pdp.Allow, priority: 9}, {policy: "p", id: "w", effect: pdp.Warn},
		{policy: "p", id: "u", effect: pdp.Audit}})
	faults := []struct {
		code   pdp.FaultCode
		policy int32
		msg    string
	}{{pdp.FaultDeadline, -1, "deadline"}, {pdp.FaultBuiltin, 0, "b"}, {pdp.FaultBuiltin, 0, "a"}, {pdp.FaultBuiltin, 1, "0"}}
	for range 20 {
		rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		r.Faults = r.Faults[:0]
		for _, f := range faults {
			r.AddFault(f.code, f.policy, f.msg)
		}
		var d pdp.Decision
		d.Reset()
		pdp.Combine(s, asked, r, &d)
		if got := read(&d).String(); got != `false deny audit=false - "Evaluation error - denied: a" []` || d.Fault != pdp.FaultBuiltin {
			t.Fatalf("got %s, fault %s", got, d.Fault)
		}
	}
}

// oracle is CONTRACT 2, rules 1 to 4, said again in another way: by sorting names, one criterion after the other.
func oracle(fs []found) answer {
	fs = slices.Clone(fs)
	slices.SortFunc(fs, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.policy, b.policy), cmp.Compare(a.id, b.id), cmp.Compare(a.name, b.name), cmp.Compare(a.reason, b.reason))
	})
	a := answer{}
	for _, f := range fs {
		if f.effect == pdp.Warn {
			w := f.reason
			if w == "" {
				w = "Action 'write' triggered warning rule"
			}
			a.Warnings = append(a.Warnings, w)
		}
		a.Audit = a.Audit || f.effect == pdp.Audit
	}
	deciding := slices.DeleteFunc(slices.Clone(fs), func(f found) bool { return !f.guardrail || f.effect != pdp.Deny })
	if len(deciding) == 0 {
		top := slices.MaxFunc(fs, func(a, b found) int { return cmp.Compare(a.priority, b.priority) }).priority
		deciding = slices.DeleteFunc(fs, func(f found) bool { return f.priority != top })
		for _, e := range []pdp.Effect{pdp.Deny, pdp.Audit, pdp.Warn, pdp.Allow} {
			if of := slices.DeleteFunc(slices.Clone(deciding), func(f found) bool { return f.effect != e }); len(of) > 0 {
				deciding = of
				break
			}
		}
	}
	first := deciding[0]
	name := cmp.Or(first.name, first.id)
	sentences := map[pdp.Effect]string{pdp.Allow: "Allowed by rule '%s'", pdp.Deny: "Denied by rule '%s'",
		pdp.Warn: "Allowed with warning by rule '%s'", pdp.Audit: "Allowed with audit requirement by rule '%s'"}
	a.Effect, a.Allowed, a.Matched = first.effect, first.effect != pdp.Deny, first.policy+"/"+first.id
	a.Reason = cmp.Or(first.reason, fmt.Sprintf(sentences[first.effect], name))
	return a
}

func randomFound(rng *rand.Rand, n int) []found {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	var fs []found
	for range n {
		f := found{policy: pick("a", "b", "b.c", "z"), id: pick("r1", "r10", "r2", "R"), name: pick("", "", "Name", "Other"),
			reason: pick("", "", "because", "since"), effect: pdp.Effect(1 + rng.IntN(4)), priority: int64(rng.IntN(4) - 1),
			guardrail: rng.IntN(6) == 0, dynamic: rng.IntN(3) == 0}
		// Of rules that agree in all names the order is theirs alone: leave them out.
		if !slices.ContainsFunc(fs, func(g found) bool {
			return g.policy == f.policy && g.id == f.id && g.name == f.name && g.reason == f.reason
		}) {
			fs = append(fs, f)
		}
	}
	return fs
}

func TestCombinationAgreesWithTheContractWhateverTheOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	many := 0
	for i := range 5000 {
		fs := randomFound(rng, 1+i%40)
		if len(fs) > 16 { // another way of sorting
			many++
		}
		want := oracle(fs).String()
		s, r := situation(fs)
		for range 3 {
			rng.Shuffle(len(r.Matches), func(i, j int) { r.Matches[i], r.Matches[j] = r.Matches[j], r.Matches[i] })
			if got := combine(s, r).String(); got != want {
				t.Fatalf("%+v\ngot  %s\nwant %s", fs, got, want)
			}
		}
	}
	if many < 500 {
		t.Errorf("only %d situations had more than 16 matches", many)
	}
}

func TestADecisionsTextSurvivesItsGrowth(t *testing.T) {
	var fs []found
	for i := range 40 {
		fs = append(fs, found{policy: "p", id: fmt.Sprintf("r%02d", i), effect: pdp.Warn, dynamic: true})
	}
	s, r := situation(fs)
	var d pdp.Decision
	for range 3 { // a pooled decision
		d.Reset()
		pdp.Combine(s, asked, r, &d)
		want := make([]string, 40)
		for i := range want {
			want[i] = "Action 'write' triggered warning rule"
		}
		if !reflect.DeepEqual(d.Warnings, want) || d.Reason != "Allowed with warning by rule 'r00'" {
			t.Fatalf("got %q, %q", d.Reason, d.Warnings)
		}
	}
}
