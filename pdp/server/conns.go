package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// clock is coarse time: nanoseconds since its start, moved on by the reaper.
type clock struct {
	base time.Time
	now  atomic.Int64
}

func (c *clock) tick() int64 {
	n := int64(time.Since(c.base))
	c.now.Store(n)
	return n
}

func (c *clock) after(d time.Duration) int64 { return c.now.Load() + int64(d) }

// conns is every open connection of a server. Its lock is taken when one opens or closes, and by the reaper.
type conns struct {
	readTimeout  time.Duration
	writeTimeout time.Duration
	idleTimeout  time.Duration
	limit        int

	clock   clock
	closing atomic.Bool // connections end with the answer they are at

	mu   sync.Mutex
	open map[*conn]struct{}
	gone chan struct{} // closed when the last one is gone and closing is set; nil before anybody waits

	done  chan struct{}
	ended chan struct{}
}

func newConns(o *Options) *conns {
	s := &conns{
		readTimeout: o.ReadTimeout, writeTimeout: o.WriteTimeout, idleTimeout: o.IdleTimeout, limit: o.MaxConnections,
		open: map[*conn]struct{}{}, done: make(chan struct{}), ended: make(chan struct{}),
	}
	s.clock.base = time.Now()
	go s.reap()
	return s
}

// sample is how many connections eviction looks at: the one that was idle longest among them goes.
const sample = 64

// add admits a connection; at the limit an idle one makes place. It refuses where none is idle.
func (s *conns) add(c *conn) bool {
	c.set = s
	s.clock.tick() // so that connections that come in a rush are told apart
	c.enter(idle, s.idleTimeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= s.limit && !s.evict() {
		return false
	}
	s.open[c] = struct{}{}
	return true
}

// evict ends an idle connection. Iteration over a map begins anywhere, so that a few looks find one that is idle for
// long; only where those few are all busy the others are looked at too.
func (s *conns) evict() bool {
	var oldest *conn
	least := int64(1<<63 - 1)
	n := 0
	for c := range s.open {
		if phase, deadline := c.phase(); phase == idle && deadline < least {
			oldest, least = c, deadline
		}
		if n++; n >= sample && oldest != nil {
			break
		}
	}
	if oldest == nil {
		return false
	}
	delete(s.open, oldest) // its place is free at once; drop does not mind
	oldest.expire()
	return true
}

func (s *conns) drop(c *conn) {
	s.mu.Lock()
	delete(s.open, c)
	if len(s.open) == 0 && s.gone != nil {
		close(s.gone)
		s.gone = nil
	}
	s.mu.Unlock()
}

// count is the number of open connections.
func (s *conns) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// reap moves the clock and ends connections whose time is over.
func (s *conns) reap() {
	defer close(s.ended)
	every := min(s.readTimeout, s.writeTimeout, s.idleTimeout, time.Second) / 4
	t := time.NewTicker(max(every, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-t.C:
			s.sweep(s.clock.tick())
		}
	}
}

func (s *conns) sweep(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if phase, deadline := c.phase(); phase != handling && deadline <= now {
			c.expire()
		}
	}
}

// endIdle ends the connections that have been idle for at least d.
func (s *conns) endIdle(d time.Duration) {
	now := s.clock.tick()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if phase, deadline := c.phase(); phase == idle && deadline-int64(s.idleTimeout)+int64(d) <= now {
			c.expire()
		}
	}
}

// settle waits until no connection is left, or for the given channel. It is called once, after closing was set.
func (s *conns) settle(giveUp <-chan struct{}) bool {
	s.mu.Lock()
	if len(s.open) == 0 {
		s.mu.Unlock()
		return true
	}
	gone := make(chan struct{})
	s.gone = gone
	s.mu.Unlock()
	select {
	case <-gone:
		return true
	case <-giveUp:
		return false
	}
}

// cut closes what is left.
func (s *conns) cut() {
	s.mu.Lock()
	left := make([]*conn, 0, len(s.open))
	for c := range s.open {
		left = append(left, c)
	}
	s.mu.Unlock()
	for _, c := range left {
		_ = c.Conn.Close() // its goroutine does the rest
	}
}

func (s *conns) stop() {
	close(s.done)
	<-s.ended
}
