package emitter_test

import (
	"testing"

	"thymus/emitter"
	"thymus/pdp"
)

// keeper notes what it is told to keep, and what the journal had then.
type keeper struct {
	r        *room
	observed int
	kept     int // of those observed, at the last Keep
	end      uint64
}

func (k *keeper) Observe(*pdp.Record, func(*pdp.Event)) { k.observed++ }

func (k *keeper) Keep(end uint64) {
	if next := k.r.j.Next(); end < next || next != k.end {
		k.r.t.Errorf("kept up to %d behind %d, the journal has %d", end, k.end, next)
	}
	k.kept, k.end = k.observed, end
}

// Whoever notes down what was observed is told before the journal has it, batch by batch, and can tell later by the
// journal's end which of it the journal has.
func TestWhatWasObservedIsKeptBeforeItIsJournaled(t *testing.T) {
	r := newRoom(t, 8<<20)
	k := &keeper{r: r, end: r.j.Next()}
	p := r.pump(func(o *emitter.PumpOptions) { o.Detector = k })
	const decisions = 3000 // more than a batch holds
	for i := range decisions {
		rec := r.record(i)
		r.rec.Record(pdp.ClassAllow, &rec)
	}
	if err := start(p)(); err != nil {
		t.Fatal(err)
	}
	if k.observed != decisions || k.kept != decisions || k.end != r.j.Next() || k.end < decisions {
		t.Errorf("%d observed, %d kept up to %d, the journal has %d", k.observed, k.kept, k.end, r.j.Next())
	}
}
