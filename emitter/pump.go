package emitter

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"thymus/emitter/journal"
	"thymus/emitter/ring"
	"thymus/pdp"
)

// Detector looks at each decision on its way to the journal. What it emits is journaled in the same batch, right
// behind the decision's own events, and never enters the ring.
type Detector interface {
	// Observe is called by the pump's goroutine, in the order of the ring; the record is lent for the call. After a
	// crash the records of a batch that was not journaled come again.
	Observe(rec *pdp.Record, emit func(*pdp.Event))
}

// PumpOptions are what a Pump needs. Ring, Journal, Instance and Rows are required.
type PumpOptions struct {
	Ring     *ring.Ring
	Journal  *journal.Journal
	Instance string
	Rows     *Revisions
	Mask     *Mask
	Detector Detector
	// Unreadable gets a record that is none, or none that fits an event; it is lent for the call. The record counts as
	// pumped, and as unreadable. May be nil.
	Unreadable func(pos uint64, record []byte, err error)
	// Trouble is told once a minute at most that the journal takes nothing, and with nil that it does again. May be nil.
	Trouble func(err error)

	hook func(step int) // tests only: see the steps
}

// Bounds of the pump's rhythm.
const (
	batchBytes    = 256 << 10 // of lines after which a batch is journaled: what a batch costs beside its bytes is shared by 400 events
	batchRecords  = 4096
	yieldBytes    = 64 << 10 // of lines after which the processor is offered to others
	pollLeast     = time.Millisecond
	pollBusy      = 4 * time.Millisecond // from batch to batch, or half of it where much comes
	pollIdle      = 50 * time.Millisecond
	fillNanos     = 10 // in which a byte of the ring is filled at 100 MB/s, more than decisions can do
	retryFirst    = 20 * time.Millisecond
	retryMost     = time.Second
	drainPatience = 3 * time.Second // at the end, for a journal that takes nothing
)

// The steps at which tests look in, or die.
const (
	stepEncoded = iota
	stepJournaled
	stepAdvanced
)

// Pump moves records from the ring to the journal: one goroutine, Run. The other methods may be called from any.
type Pump struct {
	o      PumpOptions
	enc    *Encoder
	origin Origin
	tells  Telling // nil: what detectors find comes when it comes
	keeps  Keeping // nil: nobody notes down what was observed
	emit   func(*pdp.Event)
	visit  func(pos uint64, c pdp.Class, p []byte) bool

	// The batch at hand.
	batch   journal.Batch
	stopped bool   // the batch is full
	limit   int    // bytes of lines that fill it
	yield   int    // bytes of lines after which others may run
	at      uint64 // position of the record at hand
	number  int    // of the next event that a detector makes of it
	rec     pdp.Record

	owed       atomic.Uint64
	oldest     atomic.Int64 // time of the oldest record of the batch at hand, Unix nanoseconds; 0: none
	stuck      atomic.Pointer[error]
	events     atomic.Uint64
	unreadable atomic.Uint64
	unresolved atomic.Uint64
	apart      atomic.Uint64
}

// NewPump makes a pump; Recover must have been called for its ring and journal.
func NewPump(o PumpOptions) *Pump {
	p := &Pump{o: o, enc: NewEncoder(o.Rows.rows, o.Mask), origin: NewOrigin(o.Instance, o.Ring.Epoch())}
	p.emit, p.visit = p.emitEvent, p.record
	p.tells, _ = o.Detector.(Telling)
	p.keeps, _ = o.Detector.(Keeping)
	p.batch.Marks = o.Journal.Last().Marks
	p.batch.RingEpoch = o.Ring.Epoch()
	p.batch.Lines = make([]byte, 0, 2*batchBytes)
	p.owed.Store(p.batch.Marks[markOwed])
	return p
}

// Run pumps until ctx ends and the ring is empty then, or until the journal takes nothing for some seconds at the end:
// its error is returned, and what is left waits in the ring for the next start.
func (p *Pump) Run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	most := time.Duration(p.o.Ring.Capacity()) * fillNanos / 2 // a small ring is not left for long
	busy, idle := max(pollLeast, min(pollBusy, most)), max(pollLeast, min(pollIdle, most))
	r := rhythm{busy: busy, last: time.Now(), part: busy}
	wait, prune := busy, r.last
	for {
		r.begin()
		n, full := p.fill()
		r.looked(n)
		if n > 0 && !full {
			full = p.gather(ctx, t, &r)
		}
		if n > 0 && p.tells != nil {
			full = p.await(t) || full
		}
		if n > 0 || p.moved() {
			if err := p.flush(ctx, t); err != nil {
				return err
			}
			wait = r.part
			if full {
				runtime.Gosched()
				continue
			}
		} else if ctx.Err() != nil {
			return nil
		} else {
			wait = min(2*wait, idle)
		}
		if now := time.Now(); now.Sub(prune) > grace/4 {
			prune = now
			p.o.Rows.Prune(p.o.Ring.Tail(), p.o.Ring.Cursor())
		}
		if ctx.Err() != nil {
			continue // producers have stopped; empty the ring without a rest
		}
		rest(ctx, t, wait)
	}
}

// Drain pumps until the ring is empty, for a start that finds records of an earlier life before there are producers.
func (p *Pump) Drain() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return p.Run(ctx)
}

// fill encodes a batch from the ring. full says that there is more.
func (p *Pump) fill() (n int, full bool) {
	b := &p.batch
	b.Lines, b.Events, b.First, b.Last = b.Lines[:0], 0, 0, 0
	b.Counts = [pdp.Classes]uint64{}
	p.limit, p.yield = batchBytes, yieldBytes
	n = p.take(p.o.Ring.Cursor())
	for c, shed := range p.o.Ring.Shed() {
		b.Marks[markShed+c] = shed
	}
	p.unresolved.Store(p.enc.Unresolved())
	return n, p.stopped || n >= batchRecords
}

// take encodes what the ring has from a position on into the batch, and gives how many records that were.
func (p *Pump) take(from uint64) int {
	p.stopped = false
	before := p.records()
	_, p.batch.RingEnd = p.o.Ring.PollFrom(from, batchRecords, p.visit)
	return p.records() - before
}

// records are those of the batch.
func (p *Pump) records() (n int) {
	for c := range p.batch.Counts {
		n += int(p.batch.Counts[c])
	}
	return n
}

// moved says whether there is padding to pass, or a refusal to note.
func (p *Pump) moved() bool {
	return p.batch.RingEnd != p.o.Ring.Cursor() || p.batch.Marks != p.o.Journal.Last().Marks
}

// record takes one record of the ring into the batch, unless that is full.
func (p *Pump) record(pos uint64, c pdp.Class, raw []byte) bool {
	b := &p.batch
	if len(b.Lines) >= p.limit {
		p.stopped = true
		return false
	}
	if len(b.Lines) >= p.yield {
		p.yield = len(b.Lines) + yieldBytes
		runtime.Gosched()
	}
	b.Counts[c]++
	var err error
	if len(raw) > 1 && raw[1] == pdp.KindEvent {
		err = p.ready(pos, raw)
	} else {
		err = p.decision(pos, raw)
	}
	if err != nil {
		p.unreadable.Add(1)
		if p.o.Unreadable != nil {
			p.o.Unreadable(pos, raw, err)
		}
	}
	return true
}

func (p *Pump) decision(pos uint64, raw []byte) error {
	if err := pdp.ParseRecord(raw, &p.rec); err != nil {
		return err
	}
	n := 0
	p.batch.Lines, n = p.enc.Decision(p.batch.Lines, &p.rec, p.origin, pos)
	p.took(p.rec.Time, n)
	if p.o.Detector != nil {
		p.at, p.number = pos, detected
		p.o.Detector.Observe(&p.rec, p.emit)
	}
	return nil
}

// detected is the number of a record's first event that a detector made; those before are the decision's own.
const detected = 4

var errTooLong = errors.New("longer than an event may be")

func (p *Pump) emitEvent(e *pdp.Event) {
	if !p.due(e) {
		return
	}
	err := errTooLong
	if p.number < perRecord {
		lines, ok := p.enc.Event(p.batch.Lines, e, p.origin.id(p.at, p.number))
		p.number++
		if ok {
			p.batch.Lines = lines
			p.took(e.Time, 1)
			return
		}
	}
	p.unreadable.Add(1)
	if p.o.Unreadable != nil {
		p.o.Unreadable(p.at, pdp.AppendEvent(nil, e), err)
	}
}

// due says whether the journal is still owed an event. A start offers again what it does not know to be journaled.
func (p *Pump) due(e *pdp.Event) bool {
	if e.Owed == 0 {
		return true
	}
	if e.Owed <= p.batch.Marks[markOwed] {
		return false
	}
	p.batch.Marks[markOwed] = e.Owed
	return true
}

func (p *Pump) ready(pos uint64, raw []byte) error {
	var e pdp.Event
	if err := pdp.ParseEvent(raw, &e); err != nil {
		return err
	}
	if !p.due(&e) {
		return nil
	}
	lines, ok := p.enc.Event(p.batch.Lines, &e, p.origin.id(pos, 0))
	if !ok {
		return errTooLong
	}
	p.batch.Lines = lines
	p.took(e.Time, 1)
	return nil
}

func (p *Pump) took(ns int64, events int) {
	b := &p.batch
	if b.Events == 0 {
		b.First = ns
		p.oldest.Store(ns)
	}
	b.Last = ns
	b.Events += events
}

// flush journals the batch and lets the ring go on. While the journal takes nothing the batch waits, the ring fills,
// and what then is refused is the ring's and the loss policy's business.
func (p *Pump) flush(ctx context.Context, t *time.Timer) error {
	if p.keeps != nil {
		p.keeps.Keep(p.o.Journal.Next() + uint64(p.batch.Events))
	}
	p.step(stepEncoded)
	if mutation("advance-first") {
		p.o.Ring.Advance(p.batch.RingEnd)
		mutation("advance-first")
	}
	wait := retryFirst
	var said, gaveUp time.Time
	for {
		err := p.o.Journal.Append(&p.batch)
		if err == nil {
			break
		}
		p.stuck.Store(&err)
		now := time.Now()
		if p.o.Trouble != nil && now.Sub(said) >= time.Minute {
			said = now
			p.o.Trouble(err)
		}
		if ctx.Err() != nil {
			if gaveUp.IsZero() {
				gaveUp = now.Add(drainPatience)
			} else if now.After(gaveUp) {
				return err
			}
		}
		t.Reset(wait)
		if ctx.Err() == nil {
			select {
			case <-t.C:
			case <-ctx.Done():
			}
		} else {
			<-t.C
		}
		wait = min(2*wait, retryMost)
	}
	p.step(stepJournaled)
	mutation("no-recovery")
	p.o.Ring.Advance(p.batch.RingEnd)
	p.step(stepAdvanced)
	p.events.Add(uint64(p.batch.Events))
	p.owed.Store(p.batch.Marks[markOwed])
	p.oldest.Store(0)
	if p.stuck.Swap(nil) != nil && p.o.Trouble != nil {
		p.o.Trouble(nil)
	}
	return nil
}

func (p *Pump) step(s int) {
	if p.o.hook != nil {
		p.o.hook(s)
	}
}
