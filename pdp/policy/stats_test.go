package policy_test

import (
	"testing"

	"thymus/pdp"
	"thymus/pdp/policy"
)

func set(seq uint32, enabled bool) *policy.Set {
	s := &policy.Set{Snapshot: &pdp.Snapshot{Seq: seq}, Policies: []policy.Info{{ID: "a", Enabled: true}, {ID: "b", Enabled: enabled}}}
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
