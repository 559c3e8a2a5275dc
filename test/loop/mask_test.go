package loop_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"thymus/test/harness"
)

// Where masks take the names from the journal a start cannot read there what was going on. A kill in the middle of a
// probe hides it as little, and one incident stays one threat.
func TestAKillHidesNoProbeBehindAMask(t *testing.T) {
	for _, mask := range []string{"agent_id", "agent_id=hash", "input"} {
		t.Run(mask, func(t *testing.T) {
			dir := t.TempDir()
			s := start(t, dir, "immune.mode=protect", "events.mask="+mask)
			probe := func(from, to int) {
				for i := from; i < to; i++ {
					s.ask("mallory", "nobody", "open", fmt.Sprintf("vault/%d", i))
				}
			}
			probe(0, 5)
			s.Kill()
			s = start(t, dir, "immune.mode=protect", "events.mask="+mask)
			if len(s.quarantined()) != 0 {
				t.Fatal("five denials are no probe")
			}
			probe(5, 8)
			harness.Eventually(t, 5*time.Second, "it is quarantined", func() bool { return slices.Equal(s.quarantined(), []string{"agent/mallory"}) })
			harness.Eventually(t, 5*time.Second, "the threat", func() bool { return len(s.threats()) == 1 })
			s.Kill()
			s = start(t, dir, "immune.mode=protect", "events.mask="+mask)
			if code := s.call("DELETE", "/v1/immune/quarantine/mallory", "", nil); code != 204 {
				t.Fatalf("release: %d", code)
			}
			s.ask("mallory", "nobody", "open", "vault/1")
			s.Kill() // before what is kept knows of the release
			s = start(t, dir, "immune.mode=protect", "events.mask="+mask)
			probe(2, 5)
			time.Sleep(200 * time.Millisecond) // long enough for what must not come
			if q, x := s.quarantined(), s.threats(); len(q) != 0 || len(x) != 1 {
				t.Errorf("what was before the release is held against it: %v, %+v", q, x)
			}
		})
	}
}

// Killed right behind the last denial, before or after it was journaled, found or stored: masks or not, the next start
// finds it, and one incident stays one threat and one act. Nothing is counted twice: seven denials are no probe, however
// often a kill comes between them.
func TestAKillLosesNoFindingBehindAMask(t *testing.T) {
	for round := range 4 {
		dir := t.TempDir()
		again := func() *sidecar {
			return start(t, dir, "immune.mode=protect", "events.mask=agent_id=hash", "detect.denials.enabled=false")
		}
		s := again()
		for range 3 {
			s.probe("mallory", 7)
			time.Sleep(time.Duration(round) * 4 * time.Millisecond) // each round at another moment
			s.Kill()
			s = again()
			if q := s.quarantined(); len(q) != 0 {
				t.Fatalf("round %d: %v", round, q)
			}
		}
		s.ask("mallory", "nobody", "open", "vault/last")
		time.Sleep(time.Duration(round) * 2 * time.Millisecond)
		s.Kill()
		s = again()
		harness.Eventually(t, 5*time.Second, "it is quarantined", func() bool { return slices.Equal(s.quarantined(), []string{"agent/mallory"}) })
		harness.Eventually(t, 5*time.Second, "its threat is there", func() bool { return len(s.threats()) == 1 })
		s.Stop()
		s = again()
		if x := s.threats(); len(x) != 1 || x[0].Count != 8 {
			t.Errorf("round %d: %+v", round, x)
		}
		s.Stop()
	}
}
