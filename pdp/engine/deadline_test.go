package engine_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"thymus/pdp"
	"thymus/pdp/engine"
)

// loops evaluates until it is stopped, as a policy over a product of large sets does.
func loops(_ *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	for n := uint64(1); !b.Stopped(); n++ {
		spin.Store(n)
	}
	r.AddFault(pdp.FaultDeadline, -1, "the deadline has passed")
}

var spin atomic.Uint64

// It spins, as an evaluator does. Its time is the machine's too: one deadline of five has to come when it should.
func TestTheDeadlineStopsARunawayPolicy(t *testing.T) {
	for _, limit := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond} {
		e := start(t, engine.Options{Deadline: limit}, &script{match: loops})
		least := time.Hour
		for range 5 {
			begin := time.Now()
			d := decide(t, e)
			took := time.Since(begin)
			if d.Allowed || d.Fault != pdp.FaultDeadline || d.Reason != "Evaluation error - denied: the deadline has passed" {
				t.Fatalf("%+v", d)
			}
			if took < limit {
				t.Fatalf("a deadline of %s came after %s", limit, took)
			}
			least = min(least, took)
		}
		if least > limit*4+200*time.Millisecond {
			t.Fatalf("a deadline of %s came after %s", limit, least)
		}
		if n := e.Stats().Faults(pdp.FaultDeadline); n != 5 {
			t.Fatalf("%d deadlines counted", n)
		}
	}
}

// waits evaluates until it is stopped, and looks once a millisecond, of the test's own clock.
func waits(_ *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	for !b.Stopped() {
		time.Sleep(time.Millisecond)
	}
	r.AddFault(pdp.FaultDeadline, -1, "the deadline has passed")
}

func TestTheDeadlineComesWhenItIsDue(t *testing.T) {
	for _, limit := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			e := start(t, engine.Options{Deadline: limit}, &script{match: waits})
			for range 5 {
				begin := time.Now()
				if d := decide(t, e); d.Fault != pdp.FaultDeadline {
					t.Fatalf("%+v", d)
				}
				if took := time.Since(begin); took < limit || took > 2*limit {
					t.Fatalf("a deadline of %s came after %s", limit, took)
				}
			}
		})
	}
}

func TestABatchSharesOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, items = 20 * time.Millisecond, 30
		e := start(t, engine.Options{Deadline: limit}, &script{match: waits})
		c := begin(t, e, items)
		defer c.End()
		begun := time.Now()
		for i := range items {
			d, err := c.Decide()
			if err != nil || d.Fault != pdp.FaultDeadline {
				t.Fatalf("item %d: %v %+v", i, err, d)
			}
		}
		if took, want := time.Since(begun), limit+(items-1)*time.Millisecond; took < want || took > 2*want {
			t.Fatalf("%d items that never end took %s together, %s allowed", items, took, want)
		}
	})
}

func TestTheClockStartsWithTheFirstEvaluation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, engine.Options{Deadline: 30 * time.Millisecond}, &script{match: permits})
		c := begin(t, e, 1)
		defer c.End()
		time.Sleep(90 * time.Millisecond) // a body that arrives slowly
		if d, err := c.Decide(); err != nil || !d.Allowed {
			t.Fatalf("%v %+v", err, d)
		}
	})
}

// A call that ended just when its deadline came must leave nothing behind for the next one on the same memory.
func TestASweepNeverStopsTheNextCall(t *testing.T) {
	const limit = 2 * time.Millisecond
	var slow, early atomic.Bool
	var begun time.Time
	s := &script{match: func(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
		if slow.Load() {
			for begin := time.Now(); time.Since(begin) < limit; {
			}
		} else if b.Stopped() && time.Since(begun) < limit { // before its own deadline, however slow the machine is
			early.Store(true)
		}
		permits(in, b, r)
	}}
	e := start(t, engine.Options{Deadline: limit}, s)
	for range 400 {
		slow.Store(true)
		decide(t, e) // ends about when the sweeper comes
		slow.Store(false)
		begun = time.Now()
		decide(t, e)
		if early.Load() {
			t.Fatal("a call was stopped before it began")
		}
	}
}

func TestABudgetIsExpiredOnlyForTheDeadlineThatWasSeen(t *testing.T) {
	var b pdp.Budget
	b.Start(5)
	seen, running := b.Deadline()
	b.End()
	b.Start(9)
	if !running || b.Expire(seen) || b.Stopped() {
		t.Fatal("a sweep that comes late stopped the next call")
	}
	if !b.Expire(9) || !b.Stopped() {
		t.Fatal("a deadline that has passed does not stop its call")
	}
	if b.End(); b.Stopped() {
		t.Fatal("a call that ended is still stopped")
	}
}
