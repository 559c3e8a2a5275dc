package immune

import (
	"context"
	"fmt"
	"sync"
	"time"

	"thymus/pdp"
)

// HealOptions say when a change of policies made things worse, and how to go back.
type HealOptions struct {
	Window  time.Duration // how long after a change it is suspected, by the records' time
	Errors  int           // evaluation errors since the change, at least
	Percent float64       // of the decisions since the change, at least
	Factor  float64       // times the share before the change, at least
	// Back returns to the revision before the one that is active, if that is still bad, and gives the revision that is
	// active then. It is called on the responder's goroutine.
	Back func(ctx context.Context, bad, good string, why string) (active string, err error)
}

// Relapse is a change of policies that made things worse.
type Relapse struct {
	Bad, Good string // revisions
	Why       string
	At        int64
}

// Healer watches what each change of policies does to the share of evaluation errors. Activated may be called from any
// goroutine, Observe belongs to the pump's, Suspect to the responder's.
type Healer struct {
	o        HealOptions
	relapses chan Relapse

	mu  sync.Mutex
	cur *course
}

// course is what happened under one revision.
type course struct {
	revision string
	seq      uint32
	at       int64  // activated
	good     string // what was active before; empty where there is nothing to go back to
	before   float64
	n, bad   float64
	tick     int64 // when the counts were halved
	told     bool
}

// NewHealer makes one. Zero options have defaults: 5 minutes, 20 errors, 10 %, 4 times.
func NewHealer(o HealOptions) *Healer {
	if o.Window == 0 {
		o.Window = 5 * time.Minute
	}
	if o.Errors == 0 {
		o.Errors = 20
	}
	if o.Percent == 0 {
		o.Percent = 10
	}
	if o.Factor == 0 {
		o.Factor = 4
	}
	return &Healer{o: o, relapses: make(chan Relapse, 1)}
}

// Activated says that a set of policies decides from now on. healed says that it is one that was returned to: from that
// there is no way further back.
func (h *Healer) Activated(revision string, seq uint32, at time.Time, healed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &course{revision: revision, seq: seq, at: at.UnixNano(), tick: at.UnixNano()}
	if old := h.cur; old != nil && old.revision == revision {
		old.seq = seq
		return
	} else if old != nil && !healed {
		c.good = old.revision
		if old.n > 0 {
			c.before = old.bad / old.n
		}
		if old.told { // it was bad itself
			c.good, c.before = old.good, old.before
		}
		if old.good != "" && !old.told && at.UnixNano()-old.at < int64(h.o.Window) && old.n < minSample {
			// A change right behind another one that nobody has used yet: what was before both is the good one.
			c.good, c.before = old.good, old.before
		}
	}
	h.cur = c
}

const (
	minSample = 20          // decisions that say something of a revision
	halving   = time.Minute // how fast what was before is forgotten
)

// Observe counts a decision.
func (h *Healer) Observe(rec *pdp.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.cur
	if c == nil || rec.Seq != c.seq || rec.Seq == 0 && rec.Revision != c.revision || rec.Flags.Has(pdp.FlagQuarantined) {
		return
	}
	c.n++
	fault := rec.Fault != pdp.NoFault && rec.Fault != pdp.FaultInput
	if fault {
		c.bad++
	}
	suspected := c.good != "" && rec.Time-c.at <= int64(h.o.Window)
	if !suspected {
		if rec.Time-c.tick > int64(halving) {
			c.n, c.bad, c.tick = c.n/2, c.bad/2, rec.Time
		}
		return
	}
	if !fault || c.told || c.bad < float64(h.o.Errors) {
		return
	}
	if share := c.bad / c.n; share*100 >= h.o.Percent && share >= h.o.Factor*c.before {
		h.tell(c, rec.Time, fmt.Sprintf("%.0f of %.0f evaluations failed since the change, %.1f %% before it", c.bad, c.n, c.before*100))
	}
}

// Suspect says that something other than errors speaks against the policies.
func (h *Healer) Suspect(at int64, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.cur; c != nil && c.good != "" && !c.told && at >= c.at && at-c.at <= int64(h.o.Window) {
		h.tell(c, at, why)
	}
}

func (h *Healer) tell(c *course, at int64, why string) {
	select {
	case h.relapses <- Relapse{Bad: c.revision, Good: c.good, Why: why, At: at}:
		c.told = true
	default: // the responder is busy with another one
	}
}

// heal goes back to the last good revision, or says that it would.
func (r *Responder) heal(ctx context.Context, x Relapse) {
	rep := Report{Severity: Critical, Type: SelfHealingAction, Module: "self_healing",
		Meta: fmt.Appendf(nil, `{"bad_revision":%q,"good_revision":%q}`, x.Bad, x.Good)}
	if !r.o.Protect {
		rep.Severity = Warning
		rep.Message = clip(fmt.Sprintf("would return from policy revision %s to %s: %s; immune.mode is observe", x.Bad, x.Good, x.Why))
		r.withheld.Add(1)
		r.say(rep)
		return
	}
	active, err := r.o.Healer.o.Back(ctx, x.Bad, x.Good, x.Why)
	if err != nil {
		rep.Message = clip(fmt.Sprintf("could not return from policy revision %s to %s: %v (%s)", x.Bad, x.Good, err, x.Why))
		r.say(rep)
		return
	}
	r.acts.Add(1)
	rep.Action = ActRollback
	rep.Message = clip(fmt.Sprintf("returned from policy revision %s to %s: %s; undo by changing the policies again, or with SIGHUP where they come from files",
		x.Bad, active, x.Why))
	r.mu.Lock()
	r.healing = &Action{Action: ActRollback, Subject: x.Bad, Reason: clip(x.Why), Since: seconds(r.now().UnixNano())}
	r.mu.Unlock()
	r.say(rep)
}

// Changed says that policies were changed by somebody else: the last return to an earlier revision is history.
func (r *Responder) Changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.healing = nil
}

// say publishes an event of an act that has happened; where it finds no room it is told as failed.
func (r *Responder) say(rep Report) {
	for range sayTries {
		_, err := r.o.Log.Publish(rep)
		if err == nil {
			return
		}
		if r.o.Failed != nil {
			r.o.Failed("an immune event is not stored: "+rep.Message, err)
		}
		time.Sleep(sayWait)
	}
}

const (
	sayTries = 3
	sayWait  = 50 * time.Millisecond
)
