package immune

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"thymus/pdp"
)

// The acts of self-protection, as events and GET /v1/immune/protection name them.
const (
	ActQuarantine = "quarantine"
	ActRelease    = "release"
	ActRollback   = "policy_rollback"
	ActBrownOut   = "brown_out"
)

// addressType is the type of subjects that are network addresses: shared and forged too easily to be held against
// anybody.
const addressType = "address"

// Action is one thing that self-protection has done and not undone. Times are Unix seconds.
type Action struct {
	Action, Subject, Reason string
	Since                   float64
	Until                   *float64 // nil: until somebody undoes it
}

// protect quarantines a subject, or says that it would. Messages name neither its id nor its type: those are in agent_id
// and in the metadata's subject_type, where masks find them.
func (r *Responder) protect(f *Finding) error {
	s := f.Subject
	switch {
	case s.Type == addressType || s.ID == "" || r.exempt[s.ID]:
		r.withheld.Add(1)
		return nil // its threat says all there is to say
	case r.o.Quarantine.handled(s, f.Incident), f.At <= r.o.Quarantine.Released(s):
		return nil
	}
	ttl := r.ttl(s)
	reason := fmt.Sprintf("%s, threat of severity %s (incident %s)", f.Description, f.Threat, f.Incident)
	if !r.o.Protect {
		return r.wouldDo(f, ActQuarantine, fmt.Sprintf("would quarantine the subject for %s: %s; immune.mode is observe", ttl, reason))
	}
	if most := r.o.Limit(); r.o.Quarantine.protected() >= most {
		return r.overLimit(f, most)
	}
	until := r.now().Add(ttl)
	err := r.o.Quarantine.protect(s, f.Incident, f.Detector, reason, ttl, r.o.Log, Report{
		Severity: Warning, Type: PolicyViolation, AgentID: s.ID, Module: f.Detector, Action: ActQuarantine,
		Message: fmt.Sprintf("quarantined the subject until %s: %s; undo with DELETE /v1/immune/quarantine/{agent_id}?type={subject_type}",
			until.UTC().Format(time.RFC3339), reason),
		Meta: f.meta(strconv.AppendInt(append(incident(f.Incident), `,"ttl_seconds":`...), int64(ttl/time.Second), 10)),
	})
	if err == nil {
		r.acts.Add(1)
	}
	return err
}

// ttl is how long the subject's next quarantine lasts: twice as long as the one before.
func (r *Responder) ttl(s Subject) time.Duration {
	ttl := r.o.TTL
	for range r.o.Quarantine.Strikes(s) {
		if ttl >= r.o.MaxTTL/2 {
			return r.o.MaxTTL
		}
		ttl *= 2
	}
	return min(ttl, r.o.MaxTTL)
}

// wouldDo says once an incident what is not done because of the mode.
func (r *Responder) wouldDo(f *Finding, act, message string) error {
	if _, said := r.would[f.Incident]; said {
		return nil
	}
	m := fmt.Appendf(incident(f.Incident), `,"would":%q`, act)
	_, err := r.o.Log.Publish(Report{Severity: Warning, Type: PolicyViolation, AgentID: f.Subject.ID, Module: f.Detector,
		Message: clip(message), Meta: f.meta(m)})
	if err != nil {
		return err
	}
	if len(r.would) >= remembered {
		clear(r.would)
	}
	r.would[f.Incident] = struct{}{}
	r.withheld.Add(1)
	return nil
}

// overLimit says once a minute that no more subjects may be quarantined.
func (r *Responder) overLimit(f *Finding, most int) error {
	r.withheld.Add(1)
	now := r.now()
	if now.Sub(r.full) < time.Minute {
		return nil
	}
	_, err := r.o.Log.Publish(Report{Severity: Critical, Type: PolicyViolation, AgentID: f.Subject.ID, Module: f.Detector,
		Message: fmt.Sprintf("the subject is not quarantined: self-protection has %d quarantined already, and %d is the most (immune.max_quarantined)",
			r.o.Quarantine.protected(), most),
		Meta: f.meta(incident(f.Incident))})
	if err == nil {
		r.full = now
	}
	return err
}

// withdraw undoes what was done for an incident whose subject was not at fault.
func (r *Responder) withdraw(f *Finding) error {
	done, err := r.o.Quarantine.withdraw(f.Subject, f.Incident, r.o.Log, Report{
		Severity: Info, Type: SelfHealingAction, AgentID: f.Subject.ID, Module: f.Detector, Action: ActRelease,
		Message: "released the subject: " + f.Description, Meta: f.meta(incident(f.Incident)),
	})
	if done {
		r.acts.Add(1)
	}
	return err
}

// Actions are what self-protection has done and not undone.
func (r *Responder) Actions() []Action {
	var out []Action
	for _, e := range r.o.Quarantine.List() {
		if e.By != operator {
			out = append(out, Action{ActQuarantine, e.Type + "/" + e.AgentID, e.Reason, e.Since, e.Until})
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.healing != nil {
		out = append(out, *r.healing)
	}
	return out
}

// handled says whether a subject is quarantined, or was for this incident.
func (q *Quarantine) handled(s Subject, incident string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.all[s]
	return e != nil && (e.Incident == incident || !e.over(q.now().UnixNano()))
}

// protected is how many self-protection has quarantined.
func (q *Quarantine) protected() (n int) {
	for _, e := range *q.snap.Load() {
		if e.By != operator {
			n++
		}
	}
	return n
}

// protect quarantines a subject and stores that with its immune event, in one transaction.
func (q *Quarantine) protect(s Subject, incident, by, reason string, ttl time.Duration, log *Log, rep Report) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entry(s, clip(reason), by, ttl)
	e.Incident = incident
	rep.Message = clip(rep.Message)
	if _, err := log.publish(rep, func(tx pdp.Tx) error { return q.stored(tx, s, e) }); err != nil {
		return err
	}
	q.force(s, e)
	return nil
}

// withdraw releases a subject if it is quarantined for this incident.
func (q *Quarantine) withdraw(s Subject, incident string, log *Log, rep Report) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e, now := q.all[s], q.now().UnixNano()
	if e == nil || e.Incident != incident || e.By == operator || e.over(now) {
		return false, nil
	}
	rep.Message = clip(rep.Message)
	if _, err := log.publish(rep, func(tx pdp.Tx) error { return q.stored(tx, s, nil) }); err != nil {
		return false, err
	}
	q.drop(s, e, now)
	return true, nil
}

// clip bounds a text of ours to what a decision's record holds of a reason.
func clip(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	for i := most; ; i-- {
		if s[i]&0xc0 != 0x80 {
			return s[:i]
		}
	}
}

// all are the events that are kept.
func (l *Log) all() []Event {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.events)
}

// event is one event.
func (l *Log) event(id int64) (Event, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i, ok := slices.BinarySearchFunc(l.events, id, func(e Event, id int64) int { return int(e.ID - id) })
	if !ok {
		return Event{}, ErrNotFound
	}
	return l.events[i], nil
}
