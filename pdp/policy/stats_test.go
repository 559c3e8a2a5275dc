package policy_test

import (
	"testing"

	"thymus/internal/metrics"
	"thymus/pdp"
	"thymus/pdp/policy"
)

func set(seq uint32, enabled bool) *policy.Set {
	s := &policy.Set{Snapshot: &pdp.Snapshot{Seq: seq}, Policies: []*policy.Info{{ID: "a", Enabled: true}, {ID: "b", Enabled: enabled}}}
	s.Snapshot.Rules = []pdp.Rule{{Policy: "a", ID: "r1"}, {Policy: "a", ID: "r2"}}
	if enabled {
		s.Snapshot.Rules = append(s.Snapshot.Rules, pdp.Rule{Policy: "b", ID: "w"})
	}
	return s
}

func TestStatsCountWhatDecidedAndWhatWarned(t *testing.T) {
	s := policy.NewStats()
	s.Activate(set(1, true))
	at := func(sec int64) int64 { return sec * 1e9 }
	s.Observe(&pdp.Record{Seq: 1, Row: 0, Time: at(1)})
	s.Observe(&pdp.Record{Seq: 1, Row: 2, Time: at(2), Warnings: []pdp.Warning{{Row: 2}, {Row: 2}}})
	s.Observe(&pdp.Record{Seq: 1, Row: 0, Time: at(3), Warnings: []pdp.Warning{{Row: 2}}})
	s.Observe(&pdp.Record{Seq: 1, Row: -1, Time: at(4), Flags: pdp.FlagMatched, Policy: "a", Rule: "made"})
	s.Observe(&pdp.Record{Seq: 1, Row: -1, Time: at(5)})                                  // a default
	s.Observe(&pdp.Record{Seq: 1, Row: 0, Time: at(6), Surface: pdp.SurfaceOPA})          // a document
	s.Observe(&pdp.Record{Seq: 1, Row: -1, Flags: pdp.FlagQuarantined | pdp.FlagMatched}) // nobody was asked
	s.Activate(set(2, false))
	s.Observe(&pdp.Record{Seq: 2, Row: 1, Time: at(7)})
	s.Observe(&pdp.Record{Seq: 1, Row: 2, Time: at(6)}) // late, of the set before
	a, _ := s.Of("a")
	if a.Evaluations != 7 || a.Matches != 4 || *a.LastMatch != 7 || len(a.Rules) != 3 || a.Rules[0].RuleID != "made" || a.Rules[1].Matches != 2 {
		t.Errorf("a: %+v", a)
	}
	b, _ := s.Of("b")
	if b.Evaluations != 5 || b.Matches != 3 || *b.LastMatch != 6 {
		t.Errorf("b: %+v", b)
	}
	if _, ok := s.Of("c"); ok {
		t.Error("there is no c")
	}
}

func TestARuleThatMatchesAndDoesNotDecideIsCounted(t *testing.T) {
	s := policy.NewStats()
	set := func(seq uint32) *policy.Set {
		x := &policy.Set{Snapshot: &pdp.Snapshot{Seq: seq}, Policies: []*policy.Info{{ID: "a", Enabled: true}}}
		x.Snapshot.Rules = []pdp.Rule{{Policy: "a", ID: "allows", Effect: pdp.Allow}, {Policy: "a", ID: "denies", Effect: pdp.Deny},
			{Policy: "a", ID: "warns", Effect: pdp.Warn, Reason: "careful"}}
		return x
	}
	one, two, three := set(1), set(2), set(3)
	s.Activate(one)
	both := &pdp.Result{Matches: []pdp.Match{{Rule: 0}, {Rule: 1}, {Rule: 2}, {Rule: -1}}}
	for i := range 10 {
		s.Outranked(metrics.Lane(i), one.Snapshot, both, 1, int64(i)*1e9)
		s.Observe(&pdp.Record{Seq: 1, Row: 1, Time: int64(i) * 1e9, Warnings: []pdp.Warning{{Row: 2}}})
	}
	s.Activate(two)
	s.Outranked(0, one.Snapshot, both, 1, 20e9) // a call that was under way
	s.Outranked(0, two.Snapshot, both, 0, 21e9)
	s.Activate(three)
	s.Outranked(0, one.Snapshot, both, 1, 22e9) // of a set that is replaced twice
	st, _ := s.Of("a")
	want := []policy.RuleStats{{RuleID: "allows", Matches: 11, Outranked: 11}, {RuleID: "denies", Matches: 11, Outranked: 1}, {RuleID: "warns", Matches: 10, Outranked: 12}}
	for i, w := range want {
		got := st.Rules[i]
		if got.LastMatch == nil {
			t.Fatalf("%+v", got)
		}
		if got.LastMatch = nil; got != w {
			t.Errorf("got %+v, want %+v", got, w)
		}
	}
	if again, _ := s.Of("a"); st.Matches != 32 || st.Outranked != 24 || *st.LastMatch != 21 || again.Matches != st.Matches {
		t.Errorf("%+v", st)
	}
	if n := testing.AllocsPerRun(100, func() { s.Outranked(1, three.Snapshot, both, 1, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// go test -run '^$' -bench Outranked -count 10 ./pdp/policy | benchstat -
func BenchmarkOutranked(b *testing.B) {
	s := policy.NewStats()
	x := set(1, true)
	s.Activate(x)
	r := &pdp.Result{Matches: []pdp.Match{{Rule: 0}, {Rule: 1}}}
	at := int64(0)
	for b.Loop() {
		at += 1000
		s.Outranked(1, x.Snapshot, r, 0, at)
	}
}

func TestCountingADecisionAllocatesNothing(t *testing.T) {
	s := policy.NewStats()
	s.Activate(set(1, true))
	rec := &pdp.Record{Seq: 1, Row: 0, Time: 1, Warnings: []pdp.Warning{{Row: 2}}}
	if n := testing.AllocsPerRun(1000, func() { s.Observe(rec) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// go test -run '^$' -bench Observe -count 10 ./pdp/policy | benchstat -
func BenchmarkObserve(b *testing.B) {
	s := policy.NewStats()
	s.Activate(set(1, true))
	rec := &pdp.Record{Seq: 1, Row: 0, Time: 1, Warnings: []pdp.Warning{{Row: 2}}}
	for b.Loop() {
		s.Observe(rec)
	}
}

// Sets that have policies in common share their counters, by the policies' addresses: rows shift, counts stay whose they are,
// and records of a set that was replaced find their rows.
func TestStatsOfPoliciesThatSetsHaveInCommonStayTheirs(t *testing.T) {
	info := map[string]*policy.Info{}
	for _, id := range []string{"a", "b", "c", "d"} {
		info[id] = &policy.Info{ID: id, Enabled: true}
	}
	set := func(seq uint32, ids ...string) *policy.Set {
		x := &policy.Set{Snapshot: &pdp.Snapshot{Seq: seq}}
		for _, id := range ids {
			x.Policies = append(x.Policies, info[id])
			x.Snapshot.Rules = append(x.Snapshot.Rules, pdp.Rule{Policy: id, ID: "one"}, pdp.Rule{Policy: id, ID: "two"})
		}
		return x
	}
	s := policy.NewStats()
	s.Activate(set(1, "b", "d"))
	s.Activate(set(2, "a", "b", "d"))      // one in front
	s.Activate(set(3, "a", "b", "c", "d")) // one in between
	s.Observe(&pdp.Record{Seq: 1, Row: 3, Time: 1})
	s.Observe(&pdp.Record{Seq: 2, Row: 5, Time: 2})
	s.Observe(&pdp.Record{Seq: 3, Row: 7, Time: 3})
	s.Observe(&pdp.Record{Seq: 3, Row: 3, Time: 4})
	s.Observe(&pdp.Record{Seq: 2, Row: 6, Time: 5}) // there is no such row
	s.Activate(set(4, "a", "d"))
	s.Observe(&pdp.Record{Seq: 4, Row: 3, Time: 6})
	s.Observe(&pdp.Record{Seq: 3, Row: 4, Time: 7}) // of c, which is gone
	for id, want := range map[string]uint64{"a": 0, "d": 4} {
		if got, ok := s.Of(id); !ok || got.Matches != want || len(got.Rules) != 2 || got.Rules[1].Matches != want || got.Rules[0].Matches != 0 {
			t.Errorf("%s: %+v, want %d matches of its second rule", id, got, want)
		}
	}
	for _, id := range []string{"b", "c"} {
		if got, ok := s.Of(id); ok {
			t.Errorf("%s is gone: %+v", id, got)
		}
	}
}
