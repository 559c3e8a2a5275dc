package threat_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"thymus/pdp/threat"
)

// sees is what one sidecar sees of a subject, under its own name for the incident.
func sees(sidecar string, count int, sev threat.Severity, at time.Time) threat.Sighting {
	s := seen("probing-"+sidecar, count, sev, at)
	s.Common, s.Quiet = `probing "agent" "mallory"`, 15*time.Minute
	return s
}

// One subject that probes two sidecars is one incident, and one threat: counts add up and severity rises.
func TestWhatTwoSidecarsSeeOfOneSubjectIsOneThreat(t *testing.T) {
	s := startRedis(t)
	a, b := join(t, s, "a", 0), join(t, s, "b", 0)
	now := time.Now()
	raise := func(x *sidecar, g threat.Sighting) (threat.Threat, bool) {
		t.Helper()
		th, made, err := x.Raise(bg, g)
		if err != nil {
			t.Fatal(err)
		}
		return th, made
	}
	first, made := raise(a, sees("a", 8, threat.High, now))
	if !made {
		t.Fatal("no threat")
	}
	for range 2 { // the second time it says nothing new
		th, made := raise(b, sees("b", 5, threat.Medium, now))
		if made || th.ID != first.ID || th.Count != 13 || th.Severity != threat.High {
			t.Fatalf("%+v", th)
		}
	}
	if th, _ := raise(b, sees("b", 70, threat.Critical, now)); th.Count != 78 || th.Severity != threat.Critical {
		t.Fatalf("%+v", th)
	}
	if th, _ := raise(a, sees("a", 9, threat.High, now)); th.Count != 79 || th.Severity != threat.Critical {
		t.Fatalf("%+v", th)
	}
	if n, m := a.count("threat.detected"), b.count("threat.detected"); n != 1 || m != 0 || b.count("threat.escalated") != 1 {
		t.Errorf("told %d and %d times, escalated %d times", n, m, b.count("threat.escalated"))
	}
	// Another subject, or another detector, is another incident.
	g := sees("c", 1, threat.Low, now)
	g.Common = `probing "agent" "alice"`
	if th, made := raise(b, g); !made || th.ID == first.ID {
		t.Errorf("%+v", th)
	}
	// What is resolved stays so, and what both see later is one other threat.
	done := threat.Resolved
	if _, err := a.Change(bg, first.ID, threat.Change{Status: &done}); err != nil {
		t.Fatal(err)
	}
	if th, made := raise(b, sees("b", 71, threat.Critical, now)); made || th.ID != first.ID || th.Count != 79 {
		t.Errorf("seen before it was resolved: %+v", th)
	}
	second, made := raise(a, sees("a", 10, threat.High, time.Now().Add(time.Second)))
	if !made || second.Count != 10 {
		t.Errorf("%+v", second)
	}
	// A start finds again what it saw before the end: that is still the first one's.
	if th, made := raise(b, sees("b", 71, threat.Critical, now)); made || th.ID != first.ID {
		t.Errorf("seen before the first was resolved: %+v", th)
	}
	if th, made := raise(b, sees("b", 72, threat.High, time.Now().Add(time.Second))); made || th.ID != second.ID || th.Count != 82 {
		t.Errorf("want it to be of %s: %+v", second.ID, th)
	}
	// After a quiet time it is another incident.
	if th, made := raise(b, sees("b2", 3, threat.High, time.Now().Add(time.Hour))); !made || th.Count != 3 {
		t.Errorf("%+v", th)
	}
}

// Who is first makes the threat, however many begin at the same moment.
func TestSidecarsThatSeeASubjectAtOnceMakeOneThreat(t *testing.T) {
	s := startRedis(t)
	var all []*sidecar
	for i := range 4 {
		all = append(all, join(t, s, fmt.Sprintf("s%d", i), 0))
	}
	const rounds, most = 10, 20
	for round := range rounds {
		var wg sync.WaitGroup
		for i, x := range all {
			wg.Go(func() {
				for n := 1; n <= most; n++ {
					g := sees(fmt.Sprintf("%d-%d", round, i), n, threat.High, time.Now())
					g.Common = fmt.Sprintf("probing %d", round)
					if _, _, err := x.Raise(bg, g); err != nil {
						t.Errorf("raise: %v", err)
					}
				}
			})
		}
		wg.Wait()
	}
	items, _, err := all[0].List(bg, threat.Filter{}, "", 100)
	if err != nil || len(items) != rounds {
		t.Fatalf("%v: %d threats, want %d", err, len(items), rounds)
	}
	for _, th := range items {
		if th.Count != most*len(all) {
			t.Errorf("%s: count %d, want %d", th.ID, th.Count, most*len(all))
		}
	}
	told := 0
	for _, x := range all {
		told += x.count("threat.detected")
	}
	if told != rounds {
		t.Errorf("%d threats were told of, want %d", told, rounds)
	}
}

// Names of threats that had to go are forgotten with them.
func TestNamesOfForgottenThreatsAreForgotten(t *testing.T) {
	s := startRedis(t)
	a, b := join(t, s, "a", 3), join(t, s, "b", 3)
	for i := range 10 {
		for n, x := range []*sidecar{a, b} {
			g := sees(fmt.Sprintf("%d-%d", i, n), 1, threat.Low, time.Now())
			g.Common = fmt.Sprintf("probing %d", i)
			if _, _, err := x.Raise(bg, g); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := s.client()
	defer c.Close()
	if n := c.HLen(bg, "thymus:{threats}:incident").Val(); n != 9 { // three threats, each with two incidents and a common name
		t.Errorf("%d names of 3 threats, want 9", n)
	}
}
