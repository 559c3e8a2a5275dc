package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// worker drives its connections from one thread: an event loop over non-blocking sockets. It costs a write, a read and a
// share of an epoll call a question, as wrk does; a goroutine a connection costs a failing read and a trip through the
// scheduler more.
type worker struct {
	*lane
	at     unix.Sockaddr
	domain int
	ep     int
	conns  []conn
	free   []int32 // ring of idle connections, longest idle first
	head   int
	frees  int
	up     int // connections that are open
	busy   int
	events []unix.EpollEvent
	failed error // the last refused connection
}

// epollable says whether this driver can be used.
func epollable(o *Options) bool { return o.TLS == nil && !o.Portable }

// tick is how often a worker looks at timeouts and connections to be opened again, in nanoseconds.
const tick = int64(5e6)

func newWorker(p *plan, i, n int) (driver, error) {
	o := p.o
	w := &worker{lane: newLane(p, i, n), events: make([]unix.EpollEvent, 512)}
	var err error
	if w.domain, w.at, err = o.Endpoint.sockaddr(); err != nil {
		return nil, err
	}
	if w.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	count := o.Connections*(i+1)/n - o.Connections*i/n
	w.conns, w.free = make([]conn, count), make([]int32, count)
	for j := range w.conns {
		w.conns[j] = conn{w: w, i: int32(j), fd: -1, s: o.Target.session(), in: make([]byte, 4096)}
	}
	return w, nil
}

// connect opens all connections, before the clock starts.
func (w *worker) connect(ctx context.Context) error {
	until := time.Now().Add(w.p.o.Timeout)
	for i := range w.conns {
		w.conns[i].dial(0)
	}
	for w.up < len(w.conns) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case w.failed != nil:
			return fmt.Errorf("%s: %w", w.p.o.Endpoint, w.failed)
		case time.Now().After(until):
			return fmt.Errorf("%s: %d of %d connections opened in %s", w.p.o.Endpoint, w.up, len(w.conns), w.p.o.Timeout)
		}
		if err := w.wait(tick); err != nil {
			return err
		}
		w.retry(0)
	}
	return nil
}

func (w *worker) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // wake when told, not 50 µs later
	checked := int64(0)
	now := w.p.now()
	if !w.open() {
		for w.frees > 0 {
			now = w.begin(now, now)
		}
	}
	for {
		over := w.over(now)
		now = w.issue(now)
		if over && (w.busy == 0 || now >= w.p.end+w.p.timeout || w.p.stop.Load()) {
			break
		}
		if now-checked >= tick {
			checked = now
			w.expire(now)
			w.retry(now)
			w.publish(now)
		}
		wait := checked + tick - now
		if w.open() && w.frees > 0 && !over {
			wait = min(wait, w.sched.next()-now)
		}
		if err := w.wait(max(wait, 0)); err != nil {
			return err
		}
		now = w.p.now()
	}
	for i := range w.conns {
		if c := &w.conns[i]; c.state == busy {
			c.fail(faultTimeout, now)
		}
	}
	w.finish(now)
	w.shown = 0
	w.publish(now)
	return nil
}

// issue begins what is due, as long as connections are free.
func (w *worker) issue(now int64) int64 {
	for w.frees > 0 && w.open() && !w.p.stop.Load() {
		intended, yes := w.due(now)
		if !yes {
			break
		}
		now = w.begin(intended, now)
	}
	return now
}

// begin asks on the connection that has been free for longest, and gives the time afterwards.
func (w *worker) begin(intended, now int64) int64 {
	c := &w.conns[w.free[w.head]]
	if w.head++; w.head == len(w.free) {
		w.head = 0
	}
	w.frees--
	c.call = w.take(intended, now, c.freed)
	c.intended, c.begun = intended, now
	c.state = busy
	w.busy++
	c.send(now)
	return w.p.now()
}

// release puts a connection at the end of the free ones.
func (w *worker) release(c *conn, now int64) {
	at := w.head + w.frees
	if at >= len(w.free) {
		at -= len(w.free)
	}
	w.free[at] = c.i
	w.frees++
	c.state, c.freed = idle, now
}

// wait lets at most ns pass until something can be read or written, and does that.
func (w *worker) wait(ns int64) error {
	n, err := epollWait(w.ep, w.events, ns)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	if n <= 0 {
		return nil
	}
	began := w.p.now()
	for i := range n {
		e := &w.events[i]
		w.conns[e.Fd].ready(e.Events)
	}
	if w.busy > 0 && began >= w.p.warm {
		record(w.tally.turn, w.p.now()-began)
	}
	return nil
}

// expire ends the calls that were sent too long ago.
func (w *worker) expire(now int64) {
	for i := range w.conns {
		if c := &w.conns[i]; c.state == busy && now-c.begun > w.p.timeout {
			c.fail(faultTimeout, now)
		}
	}
}

// retry opens connections again that are to be.
func (w *worker) retry(now int64) {
	if now >= w.p.end && now > 0 {
		return
	}
	for i := range w.conns {
		if c := &w.conns[i]; c.state == down && now >= c.again {
			c.dial(now)
		}
	}
}

func (w *worker) result() *lane { return w.lane }

func (w *worker) close() {
	for i := range w.conns {
		if c := &w.conns[i]; c.fd >= 0 {
			unix.Close(c.fd)
		}
	}
	unix.Close(w.ep)
}
