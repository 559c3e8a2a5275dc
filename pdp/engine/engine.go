package engine

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"thymus/internal/metrics"
	"thymus/pdp"
)

// Recorder keeps the record of a decision. It may be called from any number of goroutines at once and must neither
// block nor keep what the record lends.
type Recorder interface {
	// Record says whether the record is kept.
	Record(c pdp.Class, r *pdp.Record) bool
}

// Quarantine knows whose every call is denied. It may be called from any number of goroutines at once.
type Quarantine interface {
	// Quarantined gives the reason, which may be empty, and whether the subject is quarantined.
	Quarantined(subjectType, subjectID string) (reason string, yes bool)
}

// Outranked hears of the rules that matched and did not decide. It may be called from any number of goroutines at once,
// and must neither block, allocate nor keep anything.
type Outranked interface {
	// Outranked is called for a decision with more than one match; decided is the row that decided, at is Unix
	// nanoseconds.
	Outranked(l metrics.Lane, s *pdp.Snapshot, r *pdp.Result, decided int32, at int64)
}

// ErrNotRecorded is the answer of a strict engine whose record could not be kept: there is no decision.
var ErrNotRecorded = errors.New("the decision could not be recorded")

// ErrNoPolicies is the answer while no policy set has been activated.
var ErrNoPolicies = errors.New("no policy set is active")

// Options of an Engine.
type Options struct {
	Deadline   time.Duration // for one call's evaluation; larger than 0
	Recorder   Recorder      // nil: nothing is recorded
	Quarantine Quarantine    // nil: nobody is quarantined
	Outranked  Outranked     // nil: nobody asks
	Strict     bool          // no record, no decision
	Input      bool          // records carry the input
}

// Engine decides with the active snapshot. All methods may be called from any number of goroutines at once.
type Engine struct {
	o      Options
	active atomic.Pointer[pdp.Snapshot]
	calls  sync.Pool
	sweep  *sweeper
	lanes  metrics.Dealer
	stats  *Stats
}

// New makes an engine without policies. Close ends its goroutine.
func New(o Options) *Engine {
	e := &Engine{o: o, sweep: newSweeper(o.Deadline), stats: newStats()}
	e.calls.New = func() any {
		c := &Call{e: e, lane: e.lanes.Lane()}
		e.sweep.watch(c)
		return c
	}
	go e.sweep.run()
	return e
}

// Close stops watching deadlines. No call may begin afterwards.
func (e *Engine) Close() { e.sweep.close() }

// Activate makes s the snapshot of every call that begins from now on. Calls under way keep theirs.
func (e *Engine) Activate(s *pdp.Snapshot) { e.active.Store(s) }

// Active is the active snapshot; nil before the first.
func (e *Engine) Active() *pdp.Snapshot { return e.active.Load() }

// Stats are the engine's counters.
func (e *Engine) Stats() *Stats { return e.stats }

// Begin starts a call of up to n decisions that share a snapshot and a deadline, which is longer by a millisecond for
// each decision after the first. The clock starts with the first evaluation. End must follow.
func (e *Engine) Begin(n int) (*Call, error) {
	s := e.active.Load()
	if s == nil {
		return nil, ErrNoPolicies
	}
	c := e.calls.Get().(*Call)
	c.snap = s
	c.allow = e.o.Deadline + time.Duration(n-1)*time.Millisecond
	c.running = false
	return c, nil
}
