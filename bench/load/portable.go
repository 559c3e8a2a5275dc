package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// portable drives a connection by a goroutine each. They share one lane, so that the first free one takes the call that
// has been due for longest. It is slower than the event loop and runs anywhere, under TLS too.
type portable struct {
	mu    sync.Mutex // around the lane
	lane  *lane
	conns []net.Conn
}

func newPortable(p *plan) *portable {
	return &portable{lane: newLane(p, 0, 1), conns: make([]net.Conn, p.o.Connections)}
}

func (d *portable) result() *lane { return d.lane }

func (d *portable) dial(ctx context.Context) (net.Conn, error) {
	o := d.lane.p.o
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if o.TLS != nil {
		return (&tls.Dialer{Config: o.TLS}).DialContext(ctx, o.Endpoint.Network, o.Endpoint.Address)
	}
	return (&net.Dialer{}).DialContext(ctx, o.Endpoint.Network, o.Endpoint.Address)
}

func (d *portable) connect(ctx context.Context) (err error) {
	for i := range d.conns {
		if d.conns[i], err = d.dial(ctx); err != nil {
			return fmt.Errorf("%s: %w", d.lane.p.o.Endpoint, err)
		}
	}
	return nil
}

func (d *portable) close() {
	for _, c := range d.conns {
		if c != nil {
			c.Close()
		}
	}
}

func (d *portable) run() error {
	var wg sync.WaitGroup
	for i := range d.conns {
		wg.Go(func() { d.drive(&d.conns[i]) })
	}
	wg.Wait()
	now := d.lane.p.now()
	d.lane.finish(now)
	d.lane.shown = 0
	d.lane.publish(now)
	return nil
}

// turn is one connection's next call: what, when it was due, and when it may begin.
func (d *portable) turn(free int64) (c *Call, intended, begun int64) {
	l := d.lane
	for {
		now := l.p.now()
		d.mu.Lock()
		if l.over(now) {
			d.mu.Unlock()
			return nil, 0, 0
		}
		if at, yes := l.due(now); yes {
			c = l.take(at, now, free)
			l.publish(now)
			d.mu.Unlock()
			return c, at, now
		}
		wait := tenth
		if l.open() {
			wait = min(wait, time.Duration(l.sched.next()-now))
		}
		d.mu.Unlock()
		time.Sleep(wait) // until the next call is due
	}
}

const tenth = 100 * time.Millisecond

func (d *portable) drive(at *net.Conn) {
	p := d.lane.p
	s := p.o.Target.session()
	l := link{conn: *at, s: s, in: make([]byte, 4096)}
	fresh := true
	for free := int64(0); ; free = p.now() {
		call, intended, begun := d.turn(free)
		if call == nil {
			return
		}
		a := answer{done: true, fault: faultTransport}
		if l.conn != nil {
			_ = l.conn.SetDeadline(time.Now().Add(p.o.Timeout))
			a = l.call(call, fresh)
			fresh = false
		}
		now := p.now()
		d.mu.Lock()
		d.lane.settle(call, a, intended, begun, now)
		d.mu.Unlock()
		if a.last || a.fault == faultTransport || a.fault == faultTimeout {
			l.again(d)
			*at, fresh = l.conn, true
		}
	}
}

// link is a connection with what its session has not read yet.
type link struct {
	conn net.Conn
	s    session
	in   []byte
	n    int
}

// again opens the connection anew.
func (l *link) again(d *portable) {
	if l.conn != nil {
		l.conn.Close()
	}
	c, err := d.dial(context.Background())
	if err != nil {
		time.Sleep(tenth / 10) // nobody is there: do not knock without a pause
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l.conn, l.n = c, 0
	if d.lane.tally.reconnects++; err != nil {
		d.lane.tally.connectFailures++
		l.conn = nil
	}
}

// call sends one call and waits for its answer.
func (l *link) call(c *Call, fresh bool) answer {
	if fresh {
		if hello := l.s.open(); len(hello) > 0 {
			if _, err := l.conn.Write(hello); err != nil {
				return answer{done: true, fault: broke(err)}
			}
		}
	}
	if _, err := l.conn.Write(l.s.ask(c)); err != nil {
		return answer{done: true, fault: broke(err)}
	}
	for {
		if l.n == len(l.in) {
			l.in = append(l.in, make([]byte, len(l.in))...)
		}
		n, err := l.conn.Read(l.in[l.n:])
		if l.n += n; n == 0 && err != nil {
			return answer{done: true, fault: broke(err)}
		}
		for l.n > 0 {
			used, a, reply, err := l.s.read(l.in[:l.n], nil)
			if err == nil && len(reply) > 0 {
				_, err = l.conn.Write(reply)
			}
			if err != nil || used == 0 && l.n > maxAnswer {
				return answer{done: true, fault: faultTransport}
			}
			l.n = copy(l.in, l.in[used:l.n])
			if a.done {
				return a
			}
			if used == 0 {
				break
			}
		}
	}
}

func broke(err error) fault {
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return faultTimeout
	}
	return faultTransport
}
