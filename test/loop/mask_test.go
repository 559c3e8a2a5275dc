package loop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
			harness.Eventually(t, 30*time.Second, "it is quarantined", func() bool { return slices.Equal(s.quarantined(), []string{"agent/mallory"}) })
			harness.Eventually(t, 30*time.Second, "the threat", func() bool { return len(s.threats()) == 1 })
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
		harness.Eventually(t, 30*time.Second, "it is quarantined", func() bool { return slices.Equal(s.quarantined(), []string{"agent/mallory"}) })
		harness.Eventually(t, 30*time.Second, "its threat is there", func() bool { return len(s.threats()) == 1 })
		s.Stop()
		s = again()
		if x := s.threats(); len(x) != 1 || x[0].Count != 8 {
			t.Errorf("round %d: %+v", round, x)
		}
		s.Stop()
	}
}

// What detection and self-protection say of a subject follows the masks: neither its id nor its type, nor what it did, is
// anywhere in the journal, in no message either.
func TestWhatIsSaidOfASubjectFollowsTheMasks(t *testing.T) {
	for _, mode := range []string{"protect", "observe"} {
		t.Run(mode, func(t *testing.T) {
			s := start(t, t.TempDir(), "immune.mode="+mode, "immune.max_quarantined=1",
				"events.mask=agent_id,subject_type=hash,agent_role,action=hash,resource")
			secrets := []string{"mallory", "trudy", "machinist", "burglar", "crowbar", "cellar"}
			for _, who := range secrets[:2] {
				for i := range 12 {
					body := fmt.Sprintf(`{"subject":{"type":"machinist","id":%q,"properties":{"role":"burglar"}},"action":{"name":"crowbar"},`+
						`"resource":{"type":"room","id":"cellar/%d"}}`, who, i)
					if a, err := harness.Ask(s.client, "POST", s.data+"/access/v1/evaluation", body); err != nil || a.Status != 200 {
						t.Fatalf("%v %+v", err, a)
					}
				}
				want := map[string]string{"protectmallory": "quarantined the subject", "protecttrudy": "the subject is not quarantined"}[mode+who]
				if want == "" {
					want = "would quarantine the subject"
				}
				harness.Eventually(t, 30*time.Second, want, func() bool {
					return slices.ContainsFunc(s.immune(), func(e immuneItem) bool { return e.Agent == who && strings.HasPrefix(e.Message, want) })
				})
			}
			if mode == "protect" {
				if code := s.call("DELETE", "/v1/immune/quarantine/mallory?type=machinist", "", nil); code != 204 {
					t.Fatalf("release: %d", code)
				}
			}
			harness.Eventually(t, 30*time.Second, "all is found and journaled", func() bool {
				e := s.events()
				return e["threat.detected"] == 4 && e["immune.event_published"] == len(s.immune()) // each for probing and for denials
			})
			files, _ := filepath.Glob(filepath.Join(s.dir, "state", "journal", "*.ndjson"))
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				for _, secret := range secrets {
					if i := strings.Index(string(b), secret); i >= 0 {
						t.Errorf("%q is in the journal: ...%s...", secret, b[max(0, i-200):min(len(b), i+100)])
					}
				}
			}
		})
	}
}
