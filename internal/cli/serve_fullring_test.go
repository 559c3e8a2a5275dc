//go:build linux || darwin

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/immune"
	"thymus/pdp/threat"
)

// ended closes a life before its test ends.
func (s *sidecar) ended() {
	s.close()
	*s = sidecar{}
}

// A life that nobody pumped leaves a ring without room: the next start journals what is in it once, and lets what is stored
// change again.
func TestAStartTakesUpAFullRing(t *testing.T) {
	dir := t.TempDir()
	settings := []string{"dir=" + dir, "events.ring.path=" + dir, "events.ring.size=1MiB", "events.loss=strict"}
	s := life(t, settings...)
	if _, err := s.stored.immune.Publish(immune.Report{Severity: immune.Info, Type: immune.SelfHealingAction, Message: "before"}); err != nil {
		t.Fatal(err)
	}
	cfg, log, instance := s.cfg, s.log, s.instance
	s.ended()

	// The life that nobody pumps.
	dead := &sidecar{cfg: cfg, log: log, instance: instance}
	r, err := openRecording(dead)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rec := (pdp.Record{Time: time.Now().UnixNano(), Row: -1, SubjectID: "a", Action: "b"}); r.Record(pdp.ClassAdmin, &rec); n++ {
		rec.ID = pdp.NewID(int64(n), 1, uint64(n))
	}
	if dead.recording = r; n < 100 || r.Room(pdp.ClassAdmin) {
		t.Fatalf("%d records, and there is room", n)
	}
	r.Close()

	s = life(t, settings...)
	for end := time.Now().Add(30 * time.Second); !s.recording.Room(pdp.ClassAdmin); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the ring stays full")
		}
	}
	if _, err := s.stored.immune.Publish(immune.Report{Severity: immune.Info, Type: immune.SelfHealingAction, Message: "after"}); err != nil {
		t.Error(err)
	}
	s.ended()
	names, err := filepath.Glob(filepath.Join(dir, "journal", "*.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	if got := strings.Count(all, `"policy.evaluated"`); got != n {
		t.Errorf("%d decisions in the journal, %d were in the ring", got, n)
	}
	for _, m := range []string{"before", "after"} {
		if strings.Count(all, `"message":"`+m+`"`) != 1 {
			t.Errorf("the event that says %q is not there once", m)
		}
	}
}

// A start that fails before everybody watches leaves the ring as it was.
func TestAStartThatFailsBeforeItPumpsLosesNothing(t *testing.T) {
	dir := t.TempDir()
	s := life(t, "dir="+dir, "events.ring.path="+dir)
	cfg, log, instance := s.cfg, s.log, s.instance
	s.ended()
	for range 3 { // opened, never begun, closed; twice closed
		dead := &sidecar{cfg: cfg, log: log, instance: instance}
		r, err := openRecording(dead)
		if err != nil {
			t.Fatal(err)
		}
		rec := pdp.Record{Time: time.Now().UnixNano(), Row: -1, SubjectID: "a", Action: "b", ID: pdp.NewID(time.Now().UnixNano(), 1, 1)}
		if !r.Record(pdp.ClassAllow, &rec) {
			t.Fatal("refused")
		}
		r.Close()
		r.Close()
	}
	r, err := openRecording(&sidecar{cfg: cfg, log: log, instance: instance})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n := r.(*events).pump.Account().Pending[pdp.ClassAllow]; n != 3 {
		t.Errorf("%d records wait, want 3", n)
	}
}

// Where masks keep the journal's end from being read again, a stop leaves nothing that was found untold: what is not stored
// in time on a slow disk is stored by the next start.
func TestAStopStoresWhatWasFoundWhereItIsNotFoundAgain(t *testing.T) {
	dir := t.TempDir()
	settings := []string{"dir=" + dir, "events.ring.path=" + dir, "events.mask=agent_id=hash", "detect.fleet.at_least=100000"}
	s := life(t, settings...)
	const many = 60
	for i := range many {
		for j := range 8 {
			s.decide(t, fmt.Sprintf("prober-%d", i), "nobody", "open", fmt.Sprintf("vault/%d", j))
		}
	}
	if err := s.recording.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.ended()
	s = life(t, settings...)
	got := 0
	for end := time.Now().Add(30 * time.Second); got < many && time.Now().Before(end); time.Sleep(time.Millisecond) {
		got = 0
		for next, more := "", true; more; more = next != "" {
			items, after, err := s.stored.threats.List(t.Context(), threat.Filter{}, next, 100)
			if err != nil {
				t.Fatal(err)
			}
			got, next = got+len(items), after
		}
	}
	if got != many {
		t.Errorf("%d threats, want %d", got, many)
	}
}
