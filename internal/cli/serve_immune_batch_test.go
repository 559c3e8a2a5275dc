//go:build linux || darwin

package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"thymus/emitter/journal"
)

// Who reads the journal while it is written sees what was found in a decision together with the decision: both are one
// batch, or the reader would see the one without the other for as long as the store takes.
func TestWhatIsFoundIsJournaledWithItsCause(t *testing.T) {
	for _, mode := range []string{"observe", "protect"} {
		t.Run(mode, func(t *testing.T) {
			s := life(t, "immune.mode="+mode, "immune.max_quarantined=1000", "detect.fleet.at_least=1000")
			e := s.recording.(*events)
			r := e.journal.Reader(0)
			defer r.Close()
			// batch gives the lines that the journal holds beyond those that were read, and waits for some.
			batch := func() (out []string) {
				var c journal.Chunk
				for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
					ok, err := r.Next(&c)
					switch {
					case err != nil:
						t.Fatal(err)
					case ok:
						for _, l := range c.All {
							out = append(out, string(l))
						}
					case len(out) > 0:
						return out
					default:
						time.Sleep(20 * time.Microsecond)
					}
				}
				t.Fatal("the journal gets nothing")
				return nil
			}
			together := 0
			for i := range 20 {
				who := fmt.Sprintf("prober-%d", i)
				for j := range 8 {
					s.decide(t, who, "nobody", "open", fmt.Sprintf("vault/%d", j))
				}
				holds := func(lines []string, words ...string) bool {
					return slices.ContainsFunc(lines, func(l string) bool {
						return !slices.ContainsFunc(append(words, `"`+who+`"`), func(w string) bool { return !strings.Contains(l, w) })
					})
				}
				for seen := false; !seen; {
					lines := batch()
					if seen = holds(lines, "policy.evaluated", "vault/7"); !seen {
						continue
					}
					if holds(lines, "threat.detected") && holds(lines, "immune.event_published") {
						together++
					}
				}
				time.Sleep(20 * time.Millisecond) // what is found next is another batch's
			}
			n := int(e.pump.Apart())
			if together < 20-n {
				t.Errorf("%d of 20 found with their cause, %d batches apart", together, n)
			}
			if n > 10 {
				t.Skipf("storing takes longer than the pump waits: %d of 20 batches apart", n)
			}
		})
	}
}
