package engine

import (
	"sync"
	"time"
	"weak"
)

// sweeper expires the budgets of calls that run too long: one goroutine for all, so that a decision needs neither a
// timer nor a goroutine of its own.
//
// It sleeps until the earliest deadline it saw, or for the engine's deadline if that is sooner. A call that begins
// while it sleeps has a deadline at least that far away, so that nothing has to wake it, and it wakes twenty times a
// second at 50 ms however many calls there are.
//
// Calls are pooled and the pool may drop them at any collection, so they are watched by weak pointers.
type sweeper struct {
	base  time.Time
	every time.Duration
	mu    sync.Mutex // guards calls; taken when a Call is made and by the sweep, never by a decision
	calls []weak.Pointer[Call]
	done  chan struct{}
	ended chan struct{}
}

func newSweeper(every time.Duration) *sweeper {
	return &sweeper{base: time.Now(), every: every, done: make(chan struct{}), ended: make(chan struct{})}
}

// now is the sweeper's clock: nanoseconds since its start. Nobody sets it.
func (s *sweeper) now() int64 { return int64(time.Since(s.base)) }

func (s *sweeper) watch(c *Call) {
	s.mu.Lock()
	s.calls = append(s.calls, weak.Make(c))
	s.mu.Unlock()
}

func (s *sweeper) run() {
	defer close(s.ended)
	t := time.NewTimer(s.every)
	defer t.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-t.C:
			t.Reset(s.pass())
		}
	}
}

// pass expires what is due and says how long to sleep.
func (s *sweeper) pass() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	next := now + int64(s.every)
	kept := s.calls[:0]
	for _, p := range s.calls {
		c := p.Value()
		if c == nil {
			continue
		}
		kept = append(kept, p)
		d, running := c.budget.Deadline()
		switch {
		case !running:
		case d <= now:
			c.budget.Expire(d)
		default:
			next = min(next, d)
		}
	}
	clear(s.calls[len(kept):])
	s.calls = kept
	return time.Duration(next - now)
}

func (s *sweeper) close() {
	close(s.done)
	<-s.ended
}
