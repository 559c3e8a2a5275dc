package emitter_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"thymus/emitter"
	"thymus/pdp"
	"thymus/test/harness"
)

// teller finds something in every denial and tells it through the ring after a while, as a store does that commits first.
type teller struct {
	r       *room
	after   time.Duration
	pending atomic.Int64
}

func (d *teller) Observe(rec *pdp.Record, _ func(*pdp.Event)) {
	if rec.Flags.Has(pdp.FlagAllowed) {
		return
	}
	d.pending.Add(1)
	cause := fmt.Sprintf("%x", rec.ID)
	time.AfterFunc(d.after, func() {
		e := &pdp.Event{Time: 1, Source: pdp.SourceThreat, Type: "threat.detected", Payload: fmt.Appendf(nil, `{"threat_id":%q}`, cause)}
		if err := d.r.rec.Publish(pdp.ClassThreat, e); err != nil {
			d.r.t.Error(err)
		}
		d.pending.Add(-1)
	})
}

func (d *teller) Telling() bool { return d.pending.Load() > 0 }

// batches are the lines of each append.
func batches(r *room, o *emitter.PumpOptions) func() [][]string {
	var mu sync.Mutex
	var ends []int
	o.SetHookForTest(func(step int) {
		if step == 1 { // journaled
			mu.Lock()
			defer mu.Unlock()
			ends = append(ends, len(r.lines()))
		}
	})
	return func() (out [][]string) {
		mu.Lock()
		defer mu.Unlock()
		all, from := r.lines(), 0
		for _, end := range ends {
			out, from = append(out, all[from:end]), end
		}
		return out
	}
}

func TestWhatIsToldThroughTheRingIsJournaledWithItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the pump's patience is short
		r := newRoom(t, 8<<20)
		d := &teller{r: r, after: 2 * time.Millisecond}
		var got func() [][]string
		p := r.pump(func(o *emitter.PumpOptions) { o.Detector = d; got = batches(r, o) })
		stop := start(p)
		const denials = 20
		for i := range denials * 50 {
			rec, c := r.record(i), pdp.ClassAllow
			if i%50 == 25 {
				rec.Row, rec.Effect, rec.Flags, c = 1, pdp.Deny, rec.Flags&^pdp.FlagAllowed, pdp.ClassDeny
			}
			r.rec.Record(c, &rec)
			if i%10 == 0 {
				time.Sleep(3 * time.Millisecond) // paces the producer: so that there are many batches
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, b := range got() {
			text := strings.Join(b, "\n")
			for _, l := range b {
				if !strings.Contains(l, "policy.denied") {
					continue
				}
				_, id, _ := strings.Cut(l, `"decision_id":"`)
				id, _, _ = strings.Cut(id, `"`)
				if !strings.Contains(text, `{"threat_id":"`+strings.ReplaceAll(id, "-", "")+`"}`) {
					t.Errorf("what was found in decision %s is not in its batch of %d events", id, len(b))
				}
				found++
			}
		}
		if found != denials || p.Apart() != 0 {
			t.Errorf("%d denials with what was found in them, want %d; %d batches apart", found, denials, p.Apart())
		}
		balanced(t, p)
	})
}

// A store that hangs holds up nothing for long, and loses nothing.
func TestAPumpDoesNotWaitForeverForWhatIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the pump's patience is short
		r := newRoom(t, 8<<20)
		d := &teller{r: r, after: 200 * time.Millisecond}
		var got func() [][]string
		p := r.pump(func(o *emitter.PumpOptions) { o.Detector = d; got = batches(r, o) })
		rec := r.record(1)
		rec.Row, rec.Effect, rec.Flags = 1, pdp.Deny, rec.Flags&^pdp.FlagAllowed
		r.rec.Record(pdp.ClassDeny, &rec)
		begin := time.Now()
		if err := p.Drain(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 20*time.Millisecond || took > 30*time.Millisecond || p.Apart() != 1 || len(r.lines()) != 2 {
			t.Errorf("journaled after %s, %d apart: %q", took, p.Apart(), r.lines())
		}
		harness.Eventually(t, 10*time.Second, "the store hangs no more", func() bool { return !d.Telling() })
		if err := p.Drain(); err != nil {
			t.Fatal(err)
		}
		b := got()
		if last := b[len(b)-1]; len(last) != 1 || !strings.Contains(last[0], "threat.detected") {
			t.Errorf("told later: %q", b)
		}
		balanced(t, p)
	})
}
