package policy

import (
	"context"
	"errors"
	"time"

	"thymus/pdp"
)

// op is one change on its way. Whoever holds Store.mu may look at its outcome.
type op struct {
	id  string
	who Actor
	// stage says what is to be stored, given what there is: nothing where nothing changes. It may be called twice.
	stage func(cur *Policy, head *record) (*record, error)

	done   bool
	policy Policy
	made   bool // there was no such policy
	err    error
}

// maxBatch bounds how many changes share a compilation.
const maxBatch = 1000

// submit makes a change and returns when it is stored and active, or refused. Callers queue up; the one who gets the
// lock makes all changes that wait, so that compiling and syncing cost the same for one as for many.
func (s *Store) submit(id string, who Actor, stage func(*Policy, *record) (*record, error)) *op {
	o := &op{id: id, who: who, stage: stage, err: ErrClosed}
	s.waiting.Lock()
	s.queue = append(s.queue, o)
	s.waiting.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !o.done {
		time.Sleep(time.Until(s.rested))
		batch := s.take()
		if len(batch) == 0 {
			break // somebody took it and panicked
		}
		begin := time.Now()
		s.process(batch)
		end := time.Now()
		s.rested = end.Add(min(end.Sub(begin), longestRest))
	}
	return o
}

// longestRest bounds how long changes wait after others were made. They rest as long as those took, so that a stream of
// changes leaves half a processor to decisions, and more of them share a compilation.
const longestRest = 100 * time.Millisecond

// take takes what waits, at most one change of a policy: the second is to see what the first made.
func (s *Store) take() (batch []*op) {
	s.waiting.Lock()
	defer s.waiting.Unlock()
	seen, rest := map[string]bool{}, s.queue[:0]
	for _, o := range s.queue {
		if seen[o.id] || len(batch) == maxBatch {
			rest = append(rest, o)
			continue
		}
		seen[o.id] = true
		batch = append(batch, o)
	}
	clear(s.queue[len(rest):])
	s.queue = rest
	return batch
}

// staged is a change whose conditions hold.
type staged struct {
	*op
	next *record
	old  *Info // nil: there was none
}

// process makes the changes of a batch. Where they do not compile together each half is tried by itself, so that a
// change fails for its own faults only; the later half sees what the earlier one made.
func (s *Store) process(ops []*op) {
	v := s.view.Load()
	now := s.now().UnixNano()
	live := v.live
	var changes []staged
	var next []head
	for _, o := range ops {
		cur, was := v.policy(o.id), v.head(o.id)
		r, err := o.stage(cur, was)
		if err == nil && r != nil && cur == nil && live >= maxPolicies {
			err = ErrFull
		}
		if err != nil || r == nil {
			o.finish(cur, err)
			continue
		}
		r.number(cur != nil, was, now, o.who)
		live += r.alive() - was.alive()
		next = append(next, head{o.id, r})
		changes = append(changes, staged{o, r, v.set.info(o.id)})
	}
	if len(changes) == 0 {
		return
	}
	heads := v.with(next)
	set, err := s.compiler.Compile(context.Background(), heads.sources(), false)
	if err != nil && len(changes) > 1 && errors.As(err, new(Problems)) {
		half := len(changes) / 2
		s.process(operations(changes[:half]))
		s.process(operations(changes[half:]))
		return
	}
	if err == nil {
		if policies := withoutLibraries(changes, set); len(policies) < len(changes) {
			s.process(operations(policies))
			return
		}
		err = s.compiler.Prepare(set)
	}
	if err == nil {
		heads, err = s.keep(changes, heads, set, now)
	}
	if err != nil {
		for _, c := range changes {
			c.finish(nil, err)
		}
		return
	}
	s.compiler.Activate(set)
	after := &view{set, heads}
	s.view.Store(after)
	for _, c := range changes {
		c.made = c.old == nil
		c.finish(after.policy(c.id), nil)
	}
}

// withoutLibraries refuses the changes after which the set has no policy of their id, and gives the others: a module
// without any effect set compiles, and is a library, of which nothing here could say that it is there.
func withoutLibraries(changes []staged, set *Set) (policies []staged) {
	for _, c := range changes {
		if c.next.Action != Deleted && set.info(c.id) == nil {
			c.finish(nil, Problems{{Policy: c.id, Field: "rego", Detail: "none of the sets allow, deny, warn and audit is in the package, so it is a library and no policy; " +
				"libraries lie in policies.paths"}})
			continue
		}
		policies = append(policies, c)
	}
	return policies
}

func operations(changes []staged) []*op {
	ops := make([]*op, len(changes))
	for i := range changes {
		ops[i] = changes[i].op
	}
	return ops
}

func (o *op) finish(p *Policy, err error) {
	if o.done, o.err = true, err; err == nil && p != nil {
		o.policy = *p
	}
}

// number makes a revision the next one of its policy.
func (r *record) number(lives bool, head *record, now int64, who Actor) {
	r.Revision, r.At, r.Made, r.Actor = 1, now, now, who.Name
	if head != nil {
		r.Revision = head.Revision + 1
		if lives {
			r.Made = head.Made
		}
	}
}

func (r *record) alive() int {
	if r == nil || r.Action == Deleted {
		return 0
	}
	return 1
}

// keep stores changes and their events, and gives what is on the shelf then.
func (s *Store) keep(changes []staged, heads *shelf, set *Set, now int64) (*shelf, error) {
	gone := heads.tooOld()
	var events []pdp.Event
	for _, c := range changes {
		is := set.info(c.id)
		if is != nil {
			c.next.Name, c.next.Version, c.next.Enabled, c.next.Rules = is.Name, is.Version, is.Enabled, is.Rules
		}
		e := s.event(c.old, is, now)
		e.Correlation = c.who.Correlation
		events = append(events, e)
	}
	err := s.store.Update(func(tx pdp.Tx) error {
		if err := s.say(tx); err != nil {
			return err
		}
		for i, c := range changes {
			if err := c.next.write(tx, c.id); err != nil {
				return err
			}
			if err := tx.Owe(pdp.ClassAdmin, &events[i]); err != nil {
				return err
			}
		}
		for _, h := range gone {
			if err := forget(tx, h.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.unsaid = nil
	if len(gone) == 0 {
		return heads, nil
	}
	for i := range gone {
		gone[i].record = nil
	}
	return heads.with(gone), nil
}
