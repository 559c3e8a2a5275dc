package load

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// state of a connection.
type state uint8

const (
	down    state = iota // closed; opened again at conn.again
	dialing              // connect is under way
	idle                 // free for a call; listed in worker.free exactly then, or until begin finds that it broke
	busy                 // a call is under way
)

// conn is one connection of a worker.
type conn struct {
	w       *worker
	i       int32
	fd      int
	state   state
	listed  bool // waits for room to write
	s       session
	in      []byte // what was received; n of it are valid
	n       int
	out     []byte // still to be written; lent by the session, so that it grows by copying
	replies []byte

	call            *Call
	intended, begun int64
	freed           int64
	again, backoff  int64
}

// dial begins to open the connection.
func (c *conn) dial(now int64) {
	fd, err := unix.Socket(c.w.domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		c.refused(err, now)
		return
	}
	c.fd = fd
	if c.w.domain != unix.AF_UNIX {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	switch err = unix.Connect(fd, c.w.at); err {
	case nil, unix.EINPROGRESS:
	case unix.EAGAIN: // the listener's queue of a Unix socket is full
		unix.Close(fd)
		c.fd, c.again = -1, now+1e6
		return
	default:
		c.refused(err, now)
		return
	}
	c.state = dialing
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: c.i}
	if err := unix.EpollCtl(c.w.ep, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		c.refused(err, now)
		return
	}
	c.listed = true
}

// refused notes that the connection could not be opened, and waits longer each time.
func (c *conn) refused(err error, now int64) {
	c.w.failed = err
	c.w.tally.connectFailures++
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
	c.backoff = min(max(2*c.backoff, 10e6), 500e6)
	c.fd, c.state, c.again = -1, down, now+c.backoff
}

// ready does what epoll says can be done.
func (c *conn) ready(events uint32) {
	if c.state == dialing {
		code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		if now := c.w.p.now(); err != nil {
			c.refused(err, now)
		} else {
			c.opened(now)
		}
		return
	}
	if events&unix.EPOLLOUT != 0 && (c.state == busy || c.state == idle) {
		c.flush(c.w.p.now())
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 && (c.state == busy || c.state == idle) {
		c.receive()
	}
}

// opened makes the connection ready for calls.
func (c *conn) opened(now int64) {
	c.n, c.backoff = 0, 0
	c.w.up++
	c.out = c.s.open()
	c.w.release(c, now)
	c.flush(now)
	if !c.w.open() && c.w.p.end > 0 && c.state == idle {
		c.next(now)
	}
}

// next begins another call at once, in a closed loop.
func (c *conn) next(now int64) {
	if intended, yes := c.w.due(now); yes && !c.w.p.stop.Load() {
		c.w.begin(intended, now)
	}
}

// send writes the call under way.
func (c *conn) send(now int64) {
	wire := c.s.ask(c.call)
	if len(c.out) > 0 { // what the session itself had to say is not out yet
		c.out = append(c.out[:len(c.out):len(c.out)], wire...)
	} else {
		c.out = wire
	}
	c.flush(now)
}

// flush writes what it can, and lets epoll say when there is room for the rest.
func (c *conn) flush(now int64) {
	for len(c.out) > 0 {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(c.fd), uintptr(unsafe.Pointer(&c.out[0])), uintptr(len(c.out)))
		switch errno {
		case 0:
			c.out = c.out[n:]
			continue
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			c.listen(true)
			return
		}
		c.fail(faultTransport, now)
		return
	}
	c.listen(false)
}

// listen asks epoll for room to write, or no more.
func (c *conn) listen(room bool) {
	if c.listed == room {
		return
	}
	c.listed = room
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.i}
	if room {
		event.Events |= unix.EPOLLOUT
	}
	_ = unix.EpollCtl(c.w.ep, unix.EPOLL_CTL_MOD, c.fd, &event)
}

// receive reads once; what is left epoll tells again.
func (c *conn) receive() {
	if c.n == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&c.in[c.n])), uintptr(len(c.in)-c.n))
	now := c.w.p.now()
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case errno != 0 || n == 0:
		c.fail(faultTransport, now)
		return
	}
	c.n += int(n)
	c.replies = c.replies[:0]
	var done answer
	for c.n > 0 {
		used, a, replies, err := c.s.read(c.in[:c.n], c.replies)
		c.replies = replies
		if err != nil || a.done && (done.done || c.state != busy) || used == 0 && c.n > maxAnswer {
			if done.last = true; !done.done {
				c.fail(faultTransport, now)
				return
			}
			break
		}
		if a.done {
			done = a
		}
		if used == 0 {
			break
		}
		c.n = copy(c.in, c.in[used:c.n])
	}
	if done.done {
		c.answered(done, now)
		return
	}
	c.reply(now)
}

// reply sends what the session wants to say of itself.
func (c *conn) reply(now int64) {
	if len(c.replies) > 0 && c.state != down {
		c.out = append(c.out[:len(c.out):len(c.out)], c.replies...)
		c.flush(now)
	}
}

// answered ends the call under way and begins the next.
func (c *conn) answered(a answer, now int64) {
	w := c.w
	w.settle(c.call, a, c.intended, c.begun, now)
	w.busy--
	c.call = nil
	if a.last {
		c.drop(now)
		c.again = now
		c.dial(now)
		return
	}
	w.release(c, now)
	c.reply(now)
	if c.state != idle {
		return
	}
	if w.open() {
		w.issue(now)
	} else {
		c.next(now)
	}
}

// fail ends the connection, and the call under way with it.
func (c *conn) fail(f fault, now int64) {
	if c.state == busy {
		c.w.settle(c.call, answer{done: true, fault: f}, c.intended, c.begun, now)
		c.w.busy--
		c.call = nil
	}
	c.drop(now)
}

// drop closes the connection, to be opened again.
func (c *conn) drop(now int64) {
	if c.state == idle {
		c.w.forget(c.i)
	}
	unix.Close(c.fd)
	c.fd, c.state, c.n, c.out, c.listed = -1, down, 0, nil, false
	c.again = now + 1e6
	c.w.up--
	c.w.tally.reconnects++
}

// forget takes a connection out of the free ones. It happens only when one breaks.
func (w *worker) forget(i int32) {
	kept := 0
	for j := range w.frees {
		if k := w.free[(w.head+j)%len(w.free)]; k != i {
			w.free[(w.head+kept)%len(w.free)] = k
			kept++
		}
	}
	w.frees = kept
}
