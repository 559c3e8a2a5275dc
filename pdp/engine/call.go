package engine

import (
	"math/rand/v2"
	"time"

	"thymus/internal/metrics"
	"thymus/pdp"
)

const (
	// keep is how many bytes of a pooled buffer outlive a call.
	keep = 64 << 10
	// fresh is how many nanoseconds the time of day is told by the sweeper's clock before it is read again: of the two
	// clocks it is the one that costs. A time of day that was set is late by this much.
	fresh = int64(time.Millisecond)
)

// Call is one caller's turn. It belongs to one goroutine from Begin to End. What Decide and Query return is lent until
// the next of either, or End.
type Call struct {
	e       *Engine
	snap    *pdp.Snapshot
	lane    metrics.Lane
	budget  pdp.Budget
	allow   time.Duration
	running bool
	read    int64 // on the sweeper's clock: when day was read
	day     int64 // Unix nanoseconds; 0 before the first decision

	Req    pdp.Request // for the decoder to fill
	Input  pdp.Doc     // a tape for planes whose decoder has none of its own; Req.Input then points to it
	result pdp.Result
	dec    pdp.Decision
	rec    pdp.Record
	buf    []byte
}

// Snapshot is the one this call decides with.
func (c *Call) Snapshot() *pdp.Snapshot { return c.snap }

// Lane is the share of counters that this call writes.
func (c *Call) Lane() metrics.Lane { return c.lane }

// End gives the call back. Nothing that it lent may be used afterwards.
func (c *Call) End() {
	c.budget.End()
	c.snap = nil
	c.Req = pdp.Request{}
	c.Input.Reset(keep)
	c.result.Reset(keep)
	if cap(c.buf) > keep {
		c.buf = nil
	}
	c.e.calls.Put(c)
}

// Decide answers c.Req by the combination, or by the entrypoint that the operator configured. The error is
// ErrNotRecorded or nil.
func (c *Call) Decide() (*pdp.Decision, error) {
	return c.DecideBy(c.snap.Entrypoint, c.snap.EntryPath)
}

// DecideBy is Decide with another entrypoint; nil is the combination. The value of the entrypoint stays in Value.
func (c *Call) DecideBy(entry pdp.Query, path string) (*pdp.Decision, error) {
	return c.DecideRead(entry, path, pdp.Entrypoint)
}

// Reader turns what an entrypoint evaluated to into the decision, as pdp.Entrypoint does. It is called before the
// decision is recorded, and must not keep anything.
type Reader func(s *pdp.Snapshot, path string, r *pdp.Result, d *pdp.Decision)

// DecideRead is DecideBy for callers whose entrypoints say more than yes or no.
func (c *Call) DecideRead(entry pdp.Query, path string, read Reader) (*pdp.Decision, error) {
	d := c.clean()
	start := c.start()
	switch reason, yes := c.quarantined(); {
	case yes:
		deny(d, c.snap, reason)
	case c.Req.Fault != "":
		d.Revision = c.snap.Revision
		d.Fail(c.Req.FaultCode, c.Req.Fault)
	case entry != nil:
		c.snap.Eval.Value(entry, c.Req.Input, false, &c.budget, &c.result)
		read(c.snap, path, &c.result, d)
	default:
		c.snap.Eval.Match(c.Req.Input, &c.budget, &c.result)
		pdp.Combine(c.snap, &c.Req, &c.result, d)
		if len(c.result.Matches) > 1 && d.Fault == pdp.NoFault && c.e.o.Outranked != nil {
			c.e.o.Outranked.Outranked(c.lane, c.snap, &c.result, d.Row, c.unix(start))
		}
	}
	return d, c.finish(d, start)
}

// Query answers one document of the data tree, which is the caller's to interpret. The result holds the value or the
// fault; the decision is what the record says of it. The error is ErrNotRecorded or nil.
func (c *Call) Query(path []string, strict bool) (*pdp.Result, *pdp.Decision, error) {
	d := c.clean()
	d.Revision = c.snap.Revision
	q := c.snap.Eval.Query(path)
	start := c.start()
	c.snap.Eval.Value(q, c.Req.Input, strict, &c.budget, &c.result)
	switch {
	case len(c.result.Faults) > 0:
		f := &c.result.Faults[0]
		d.Fail(f.Code, c.result.Out.Str(f.Msg))
		d.Effect = pdp.None
	case c.result.Defined:
		pdp.ReadVerdict(&c.result.Out, d)
	}
	if reason, yes := c.quarantined(); yes {
		d.Quarantined, d.Matched, d.Policy, d.Rule = true, true, quarantinePolicy, quarantineRule
		d.Reason = quarantineReason(reason)
	}
	return &c.result, d, c.finish(d, start)
}

// Value is what the entrypoint of the last DecideBy said, for callers who read more of it than the verdict.
func (c *Call) Value() *pdp.Result { return &c.result }

func (c *Call) clean() *pdp.Decision {
	c.dec.Reset()
	c.result.Reset(keep)
	return &c.dec
}

// start reads the sweeper's clock, and sets the deadline with the call's first evaluation.
func (c *Call) start() int64 {
	now := c.e.sweep.now()
	if c.day == 0 || now-c.read >= fresh {
		c.read, c.day = now, time.Now().UnixNano()
	}
	if !c.running {
		c.running = true
		c.budget.Start(max(now+int64(c.allow), 1))
	}
	return now
}

// unix is the time of day, in nanoseconds, of a moment on the sweeper's clock at which start read that.
func (c *Call) unix(at int64) int64 { return c.day + at - c.read }

// finish names, counts and records the decision.
func (c *Call) finish(d *pdp.Decision, start int64) error {
	took := time.Duration(c.e.sweep.now() - start)
	day := c.unix(start)
	d.ID = pdp.NewID(day/int64(time.Millisecond), rand.Uint64(), rand.Uint64())
	c.e.stats.count(c.lane, c.Req.Surface, d, took)
	o := &c.e.o
	if o.Recorder == nil {
		return nil
	}
	c.rec.Fill(c.snap, &c.Req, d)
	c.rec.Time, c.rec.Eval = day, int64(took)
	if o.Input && c.Req.Input != nil && len(c.Req.Input.Nodes) > 0 {
		c.attachInput()
	}
	if !o.Recorder.Record(d.Effect.Class(), &c.rec) && o.Strict {
		return ErrNotRecorded
	}
	return nil
}

func (c *Call) attachInput() {
	c.buf = c.Req.Input.AppendJSON(c.buf[:0], 0)
	if len(c.buf) <= pdp.MaxInput {
		c.rec.Input, c.rec.Flags = c.buf, c.rec.Flags|pdp.FlagInput
		return
	}
	c.rec.Cut |= pdp.CutInput
}
