package detect_test

import (
	"fmt"
	"testing"
	"time"

	"thymus/pdp/detect"
)

// A window that something cut short says nothing of how often its subject calls: neither another policy set, nor a
// release from quarantine, nor a restart lets an agent that goes on as ever look as if it called more.
func TestWindowsCutShortTeachNoRate(t *testing.T) {
	const calls, width = 100, 10 * time.Second
	for _, c := range []struct {
		name string
		cut  func(b *box, n int)
	}{
		{"an activation", func(b *box, n int) { b.rev = fmt.Sprintf("r%d", n) }},
		{"a release", func(b *box, _ int) { b.w.Forget("agent", "steady") }},
		{"a restart", func(b *box, _ int) {
			next := newBox(t, only(detect.RateAnomaly))
			if err := next.w.LoadState(b.w.AppendState(nil)); err != nil {
				t.Fatal(err)
			}
			b.w = next.w
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, only(detect.RateAnomaly))
			window := func(cut func()) {
				for i := range calls {
					if i == calls*9/10 && cut != nil {
						cut()
					}
					b.call("steady")
					b.wait(width / calls)
				}
			}
			for range 70 {
				window(nil)
			}
			for n := range 150 {
				window(func() { c.cut(b, n) })
			}
			for range 3 {
				window(nil)
			}
			b.want("")
			for range 3 * calls { // and what is an anomaly is one still
				b.call("steady")
				b.wait(width / calls / 4)
			}
			if len(b.found) == 0 {
				t.Error("four times as many calls are no anomaly")
			}
		})
	}
}
