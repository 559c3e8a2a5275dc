package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"thymus/emitter/journal"

	"thymus/test/harness"
)

// ledger is what the journal was seen to hold, read on from round to round.
type ledger struct {
	dir       string
	next      uint64
	decisions map[string]int
	ids       map[string]bool
	types     map[string]int
	threats   map[string]int // that were made
	sources   map[string]int // of these
	events    int
}

func newLedger(dir string) *ledger {
	return &ledger{dir: dir, next: 1, decisions: map[string]int{}, ids: map[string]bool{}, types: map[string]int{}, threats: map[string]int{},
		sources: map[string]int{}}
}

// read takes in what is new. Anything that is there twice, missing or unreadable is an error.
func (l *ledger) read() error {
	r, err := journal.OpenReader(l.dir, l.next)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		var c journal.Chunk
		ok, err := r.Next(&c)
		if err != nil {
			return err
		}
		if !ok {
			l.next = r.Seq()
			return nil
		}
		if c.Gap.Count() > 0 {
			return fmt.Errorf("a gap: %+v", c.Gap)
		}
		for seq, line := range c.All {
			var e struct {
				ID, Type string
				Payload  struct {
					Decision string `json:"decision_id"`
					Threat   string `json:"threat_id"`
					Source   string
				}
			}
			if err := json.Unmarshal(line, &e); err != nil {
				return fmt.Errorf("event %d: %w: %s", seq, err, line)
			}
			if l.ids[e.ID] {
				return fmt.Errorf("event %d: id %s is there twice", seq, e.ID)
			}
			l.ids[e.ID] = true
			l.types[e.Type]++
			if e.Type == "threat.detected" {
				l.threats[e.Payload.Threat]++
				l.sources[e.Payload.Source]++
			}
			l.events++
			if e.Type == "policy.evaluated" {
				l.decisions[e.Payload.Decision]++
			}
		}
	}
}

// holds says whether each answered decision is there exactly once.
func (l *ledger) holds(answered []string) error {
	for _, id := range answered {
		if n := l.decisions[id]; n != 1 {
			return fmt.Errorf("decision %s was answered and is in the journal %d times", id, n)
		}
	}
	return nil
}

func rounds(t *testing.T, short int) int {
	if v := os.Getenv("THYMUS_CRASH_ROUNDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("THYMUS_CRASH_ROUNDS: %v", err)
		}
		return n
	}
	return short
}

// crash kills the binary under load, round after round, and returns the first broken promise.
func crash(t *testing.T, h *home, rounds int) (answered int, err error) {
	l := newLedger(h.journal())
	for round := range rounds {
		s := h.start(t)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Duration(10+rand.N(120))*time.Millisecond, func() {
			s.Kill()
			cancel()
		})
		got := s.load(ctx, 4)
		<-ctx.Done()
		answered += len(got)

		s = h.start(t)
		if err := equations(s.settle()); err != nil {
			return answered, fmt.Errorf("round %d: %w", round, err)
		}
		if rand.N(3) > 0 {
			s.Kill() // at rest, or in the middle of nothing much
		} else {
			s.Stop()
		}
		if err := l.read(); err != nil {
			return answered, fmt.Errorf("round %d: %w", round, err)
		}
		if err := l.holds(got); err != nil {
			return answered, fmt.Errorf("round %d: %w", round, err)
		}
	}
	if out, err := h.command("events", "verify").CombinedOutput(); err != nil {
		return answered, fmt.Errorf("thymus events verify: %w\n%s", err, out)
	}
	t.Logf("%d rounds, %d decisions answered, %d events in the journal", rounds, answered, l.events)
	return answered, nil
}

// Kill -9 at random moments under load: what was answered is in the journal once, the accounts add up, verify passes.
func TestCrashLosesNothingThatWasAnswered(t *testing.T) {
	answered, err := crash(t, newHome(t), rounds(t, 20))
	if err != nil {
		t.Fatal(err)
	}
	if answered == 0 {
		t.Error("nothing was ever answered: this test shows nothing")
	}
}

// The harness must fail when a step of the commit is removed.
func TestCrashHarnessSeesPlantedMutations(t *testing.T) {
	mutant, err := harness.Build(t.TempDir(), "mutant", "-tags", "thymus_mutant")
	if err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string]string{
		"advance-first": "the ring's cursor moves before the journal has the batch, and the start believes it",
		"no-recovery":   "a start does not move the ring's cursor to where the journal is",
		"no-append":     "a record is said to be kept and is not",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, "MUTANT="+name)
			h.bin = mutant
			if _, err := crash(t, h, 15); err == nil {
				t.Errorf("%s, and nobody noticed", wants)
			} else {
				t.Log("noticed:", err)
			}
		})
	}
}
