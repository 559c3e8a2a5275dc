package immune

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a Responder needs. Log, Quarantine and Threats are required.
type Options struct {
	Log        *Log
	Quarantine *Quarantine
	Threats    Threats

	Protect   bool     // act; else say what would be done
	ProtectAt int      // Rank of the least severe threat that is acted upon
	Exempt    []string // subject ids that are never quarantined
	// Limit is how many subjects self-protection may have quarantined at once, as of now. Required.
	Limit func() int
	// The first quarantine lasts TTL, each further one twice as long as the one before, MaxTTL at most. Both are larger
	// than 0.
	TTL, MaxTTL time.Duration
	// Healer may be nil: then nobody looks whether a change of policies made things worse.
	Healer *Healer
	// Failed is told what could not be done or stored, and is tried again. May be nil.
	Failed func(what string, err error)
}

// Responder does something about findings: threats, immune events, self-protection. Offer may be called from any
// goroutine and never waits; everything else happens on the goroutine of Run, one thing after the other, quarantine
// first.
type Responder struct {
	o      Options
	exempt map[string]bool
	queue  *queue
	now    func() time.Time

	events map[string]int64    // incident → its immune event
	would  map[string]struct{} // incidents of which it was said what would be done
	full   time.Time           // when it was last said that no more may be quarantined
	failed time.Time           // when it was last said that something could not be stored

	mu      sync.Mutex
	retry   map[string]*Finding // what could not be stored, by incident
	healing *Action             // the last return to an earlier revision, while it lasts

	acts, withheld atomic.Uint64
}

// over stands for the event of an incident that has ended.
const over = -1

// remembered bounds the maps of incidents.
const remembered = 1 << 15

// NewResponder makes one. What the log says of incidents is known, so that findings made again after a restart are not
// told again.
func NewResponder(o Options) *Responder {
	r := &Responder{o: o, exempt: map[string]bool{}, queue: newQueue(), now: o.Log.now,
		events: map[string]int64{}, would: map[string]struct{}{}, retry: map[string]*Finding{}}
	for _, id := range o.Exempt {
		r.exempt[id] = true
	}
	for _, e := range o.Log.all() {
		switch m := noteOf(e.Meta); {
		case m.Incident == "":
		case m.Would != "":
			r.would[m.Incident] = struct{}{}
		case m.Ended:
			r.events[m.Incident] = over
		default:
			r.events[m.Incident] = e.ID
		}
	}
	return r
}

// Offer takes a finding, which is the responder's from then on; false where too many wait, and it is counted as lost.
func (r *Responder) Offer(f *Finding) bool {
	f.urgent = f.Withdrawn || f.Suspect || f.Threat != "" && f.Candidate && f.Rank >= r.o.ProtectAt
	return r.queue.put(f)
}

// Busy says whether a finding waits or is being handled: what is said of it is not in the ring yet. What waits for its
// store to come back does not count.
func (r *Responder) Busy() bool { return r.queue.busy() }

// Lost is how many findings found no room to wait.
func (r *Responder) Lost() uint64 { return r.queue.lost() }

// Acts is how often self-protection acted; Withheld how often it would have, but for the mode or a bound.
func (r *Responder) Acts() uint64 { return r.acts.Load() }

// Withheld is how often self-protection would have acted, but for the mode or a bound.
func (r *Responder) Withheld() uint64 { return r.withheld.Load() }

const (
	retryEvery = 250 * time.Millisecond
	maxRetry   = 1 << 12 // findings that wait for their store
)

// Run works until ctx ends. What waits then is what Pending says.
func (r *Responder) Run(ctx context.Context) {
	t := time.NewTicker(retryEvery)
	defer t.Stop()
	defer r.queue.end()
	var heal <-chan Relapse
	if r.o.Healer != nil {
		heal = r.o.Healer.relapses
	}
	for {
		for ctx.Err() == nil {
			f := r.queue.take()
			if f == nil {
				break
			}
			r.handle(ctx, f)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.queue.wake:
		case x := <-heal:
			r.heal(ctx, x)
		case <-t.C:
			r.again(ctx)
		}
	}
}

// again handles what could not be stored.
func (r *Responder) again(ctx context.Context) {
	r.mu.Lock()
	waits := maps.Clone(r.retry)
	r.mu.Unlock()
	for key, f := range waits {
		if ctx.Err() != nil || !r.handle(ctx, f) {
			continue
		}
		r.mu.Lock()
		delete(r.retry, key)
		r.mu.Unlock()
	}
}

// handle does what a finding asks for, and says whether that is done with. What cannot be stored waits and is handled
// again.
func (r *Responder) handle(ctx context.Context, f *Finding) bool {
	var errs []error
	if !f.acted { // else it waits for the threat's store alone, and is not counted again
		err := r.act(f)
		next := *f // Pending may be reading f
		next.acted = err == nil
		f = &next
		errs = append(errs, err)
	}
	if f.Threat != "" {
		_, err := r.o.Threats.Raise(ctx, f)
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if err == nil {
		return true
	}
	var bad *FieldError
	never := errors.As(err, &bad) // it never will be taken
	if now := r.now(); r.o.Failed != nil && ctx.Err() == nil && now.Sub(r.failed) >= time.Minute {
		r.failed = now
		r.o.Failed("a finding waits, "+f.Detector, err)
	}
	if never {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := f.waitsAs()
	if len(r.retry) < maxRetry || r.retry[key] != nil {
		r.retry[key] = f // the newest of an incident says all
		return false
	}
	r.queue.lose()
	return true
}

// act does what is to be done here.
func (r *Responder) act(f *Finding) error {
	switch {
	case f.Withdrawn:
		return r.withdraw(f)
	case f.Threat == "":
		err := r.event(f)
		if f.Suspect && !f.Ended && r.o.Healer != nil {
			r.o.Healer.Suspect(f.At, f.Description)
		}
		return err
	case f.Candidate && f.Rank >= r.o.ProtectAt:
		return r.protect(f)
	}
	return nil
}

// event keeps the immune event of an incident: one, whose severity may rise, and one more for its end.
func (r *Responder) event(f *Finding) error {
	id, known := r.events[f.Incident]
	m := incident(f.Incident)
	if id == over {
		return nil
	}
	if f.Ended {
		if !known {
			return nil
		}
		_, err := r.o.Log.Publish(Report{Severity: Info, Type: f.Type, Message: f.Description, Module: f.Detector, Meta: f.meta(append(m, `,"ended":true`...))})
		if err == nil {
			r.events[f.Incident] = over
		}
		return err
	}
	if known {
		e, err := r.o.Log.event(id)
		if err != nil || rank(e.Severity) >= rank(f.Severity) {
			return nil // no longer kept, or told already
		}
		_, err = r.o.Log.SetSeverity(id, f.Severity, "")
		return err
	}
	e, err := r.o.Log.Publish(Report{Severity: f.Severity, Type: f.Type, Message: f.Description, Module: f.Detector, Meta: f.meta(m)})
	if err != nil {
		return err
	}
	if len(r.events) >= remembered {
		clear(r.events)
	}
	r.events[f.Incident] = e.ID
	return nil
}

func rank(s Severity) int {
	for i, n := range Severities() {
		if n == s {
			return i
		}
	}
	return -1
}
