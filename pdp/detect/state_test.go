package detect_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"thymus/pdp/detect"
)

// restart is the box after a restart that keeps what was learnt.
func (b *box) restart(f func(*detect.Config)) {
	b.t.Helper()
	state := b.w.AppendState(nil)
	n := newBox(b.t, f)
	if err := n.w.LoadState(state); err != nil {
		b.t.Fatal(err)
	}
	if again := n.w.AppendState(nil); !bytes.Equal(again, state) {
		b.t.Error("what is loaded is not what was written")
	}
	b.w = n.w
}

func TestARestartKeepsWhatWasLearnt(t *testing.T) {
	conf := func(c *detect.Config) { c.Denials.Enabled = false }
	b := newBox(t, conf)
	for range 70 {
		for range 10 {
			b.call("a", took(50*time.Microsecond))
		}
		b.wait(10 * time.Second)
	}
	b.restart(conf)
	b.wait(24 * time.Hour)
	b.call("a", doing("delete"))
	b.want("first_seen_action:opened:LOW:1!")
	for range 100 {
		b.call("a")
	}
	b.want("rate_anomaly:opened:MEDIUM:29!")
}

// A start reads the journal's end again. What was found in its last seconds bears the same names, or each restart would
// make a second threat of it, and quarantine for it again.
func TestWhatIsReadAgainIsFoundUnderTheSameNames(t *testing.T) {
	for _, spread := range []time.Duration{time.Millisecond, time.Second, 20 * time.Second} {
		t.Run(spread.String(), func(t *testing.T) {
			b := newBox(t, nil)
			probes := func() (names []string) {
				b.found = nil
				b.crowd(100)
				for i := range 5 {
					for n := range 10 {
						b.call(fmt.Sprint("prober-", i), denied, on(fmt.Sprint("vault/", n)))
						b.wait(spread / 50)
					}
				}
				for _, f := range b.found {
					if f.Change == detect.Opened {
						names = append(names, f.Incident)
					}
				}
				return names
			}
			begin := b.at
			before := probes()
			b.restart(nil)
			b.at = begin
			if again := probes(); len(before) < 5 || !slices.Equal(again, before) {
				t.Errorf("found again as %q, want %q", again, before)
			}
		})
	}
}

func TestARolloutByRestartIsARollout(t *testing.T) {
	b := newBox(t, nil)
	for range 10 {
		b.crowd(100)
		b.wait(time.Second)
	}
	b.restart(nil)
	b.rev = "r2"
	for n := range 20 {
		for i := range 100 {
			b.call(fmt.Sprintf("quiet-%d", i), denied, on(fmt.Sprint("r", n)))
		}
		b.wait(100 * time.Millisecond)
	}
	suspects := 0
	for _, f := range b.found {
		if f.Candidate {
			t.Fatalf("%s would be quarantined", f.SubjectID)
		}
		if f.Suspect && f.Change == detect.Opened {
			suspects++
		}
	}
	if suspects != 2 {
		t.Errorf("%d detectors suspect the policy, want 2", suspects)
	}
}

func TestARestartDuringABadRolloutTrustsNobodysDenials(t *testing.T) {
	b := newBox(t, only(detect.Probing))
	b.crowd(100)
	for range 10 {
		b.crowd(100)
	}
	b.rev = "r2"
	b.wait(10 * time.Second)
	for i := range 100 {
		b.call(fmt.Sprintf("quiet-%d", i), denied, on("r"))
	}
	b.restart(only(detect.Probing))
	b.wait(2 * time.Minute)
	for i := range 100 {
		b.call(fmt.Sprintf("quiet-%d", i), denied, on("r"))
	}
	for i := range 8 {
		b.call("quiet-7", denied, on(fmt.Sprint("r", i)))
	}
	b.want("suspect:probing:opened:CRITICAL:100")
}

func TestDamagedStateIsRefusedWhole(t *testing.T) {
	b := newBox(t, nil)
	for range 10 {
		b.crowd(3)
	}
	state := b.w.AppendState(nil)
	fresh := func(seed byte) *detect.Watcher {
		w, err := detect.New(detect.Options{Config: detect.Default(), Seed: [16]byte{seed}})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	empty := fresh(0).AppendState(nil)
	w := fresh(0)
	for i := range len(state) {
		bad := bytes.Clone(state)
		bad[i] ^= 1 << (i % 8)
		for _, s := range [][]byte{bad, state[:i]} {
			if err := w.LoadState(s); !errors.Is(err, detect.ErrState) {
				t.Fatalf("byte %d damaged: %v", i, err)
			}
		}
	}
	if !bytes.Equal(w.AppendState(nil), empty) {
		t.Error("damaged state left something")
	}
	if err := fresh(1).LoadState(state); !errors.Is(err, detect.ErrState) {
		t.Errorf("state of another seed: %v", err)
	}
	if err := b.w.LoadState(state); !errors.Is(err, detect.ErrState) {
		t.Errorf("loaded too late: %v", err)
	}
}
