package emitter

import (
	"context"
	"time"
)

// While the pump encodes, observes and journals, others may have to wait for its processor; where there is but one, none
// of them is even heard of. runtime.Gosched does not help: the pump goes on as soon as no other goroutine can run, and
// only who finds nothing to run asks the network. So where many records come the pump gathers a batch in parts, rests
// between them, and journals sooner. Where few come a batch is short, and each look would cost more than it is worth.
const (
	partRecords = 32                     // that a look should find: encoded and observed in less than a tenth of a millisecond
	partLeast   = 500 * time.Microsecond // from look to look
	partMost    = time.Millisecond       // in which they come where they are many
	breath      = 100 * time.Microsecond // between the last part and journaling, which takes as long as a part or two
)

// rhythm is when the pump looks at the ring.
type rhythm struct {
	busy time.Duration // the longest from batch to batch, under load
	last time.Time     // of the looks
	took time.Duration // between the last two
	n    int           // records that had come in it
	part time.Duration // from the last look to the next, under load; busy where few records come
	due  time.Time     // when the batch at hand is to be journaled
}

// many says whether records come so fast that a batch is gathered in parts.
func (r *rhythm) many() bool { return r.part < r.busy }

// begin begins a batch.
func (r *rhythm) begin() {
	r.due = r.last.Add(r.busy)
	if r.many() {
		r.due = r.last.Add(r.busy / 2)
	}
}

// looked notes that n records had come since the look before. Two looks together say how fast they come.
func (r *rhythm) looked(n int) {
	now := time.Now()
	took, both := now.Sub(r.last), r.n+n
	r.part = r.busy
	if both > 0 {
		if part := max((r.took+took)*partRecords/time.Duration(both), partLeast); part <= partMost {
			r.part = min(part, r.busy)
		}
	}
	r.last, r.took, r.n = now, took, n
}

// gather takes what comes until about when the batch at hand is due, a part at a time. full says that there is more.
func (p *Pump) gather(ctx context.Context, t *time.Timer, r *rhythm) (full bool) {
	for ctx.Err() == nil && !r.last.Add(r.part/2).After(r.due) {
		rest(ctx, t, r.part)
		n := p.take(p.batch.RingEnd)
		if r.looked(n); p.stopped || p.records() >= batchRecords {
			return true
		}
	}
	if ctx.Err() == nil && r.many() {
		rest(ctx, t, breath)
	}
	return false
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, t *time.Timer, d time.Duration) {
	t.Reset(d)
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
