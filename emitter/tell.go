package emitter

import "time"

// Telling is what a Detector may be besides: one whose events are stored first, and come through the ring (see
// pdp.Event.Owed). The pump keeps the batch open for them, so that what was found is journaled together with what it
// was found in.
type Telling interface {
	// Telling says whether something that was found in observed records is still on its way into the ring. The pump's
	// goroutine asks before it journals a batch, and again every quarter of a millisecond while the answer is yes.
	Telling() bool
}

// Keeping is what a Detector may be besides: one that notes down what it observed before it can no longer be observed
// again.
type Keeping interface {
	// Keep is called by the pump's goroutine behind the last record of a batch and before the batch is journaled. The
	// events of that batch, and of all before, are those whose numbers in the journal are below end: if the journal of a
	// later life ends before it, the records of the batch are observed again.
	Keep(end uint64)
}

const (
	tellPatience = 25 * time.Millisecond // for what there is to tell of a batch; a small ring has less
	tellLook     = 250 * time.Microsecond
	tellBytes    = 1 << 20 // of lines beyond which a batch is not kept open
)

// await keeps the batch open while detectors have yet to tell what they found in it, then takes what they told and all
// that came before it. What takes them longer is told in a later batch, and the batch at hand is counted as apart. full
// says that there is more in the ring.
func (p *Pump) await(t *time.Timer) (full bool) {
	if !p.tells.Telling() {
		return false
	}
	p.limit = tellBytes
	patience := min(tellPatience, time.Duration(p.o.Ring.Capacity())*fillNanos/2)
	for begin := time.Now(); ; {
		telling, late := p.tells.Telling(), time.Since(begin) > patience
		n, told := 0, false
		if !telling || late {
			tail := p.o.Ring.Tail() // what has been told lies before it
			n = p.take(p.batch.RingEnd)
			told = !telling && p.batch.RingEnd >= tail && !p.tells.Telling()
		}
		if told || late || p.stopped {
			if !told {
				p.apart.Add(1)
			}
			return p.stopped || n >= batchRecords
		}
		if n == 0 {
			t.Reset(tellLook)
			<-t.C
		}
	}
}
