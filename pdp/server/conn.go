package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"thymus/internal/guard"
	"thymus/pdp"
)

// What a connection is doing, and until when it may: one word, so that the reaper reads both at once.
//
//	deadline in nanoseconds of the clock, 0: none | phase (2 bits)
//
// The connection's own goroutine writes it; the reaper only reads.
const (
	idle     = iota // no byte of a request has arrived
	reading         // a request is arriving, or a TLS handshake
	handling        // a request is being answered
	writing         // an answer is being sent
	phases   = 3    // mask
)

// lingerFor and lingerBytes bound how long a connection that was refused in the middle of a request goes on reading, so
// that the client reads the answer before it is told that nobody listens.
const (
	lingerFor   = time.Second
	lingerBytes = 16 << 20
)

// conn is one connection, from its listener to its end. Deadlines cost a store each: no timer, no system call.
type conn struct {
	net.Conn
	set    *conns
	peer   pdp.Peer // fixed before the first request
	word   atomic.Int64
	fresh  bool   // no byte of the next request has been seen; this and what follows is the connection's goroutine's own
	hint   string // dataPath or meshPrefix where the request's path seems to begin with it
	secure bool   // a tlsConn reads from it
	linger bool
	id     []byte // X-Request-ID of the request being answered, lent; nil without a usable one
	closed atomic.Bool
}

func (c *conn) enter(phase int64, limit time.Duration) {
	c.word.Store(c.set.clock.after(limit)<<2 | phase)
}

func (c *conn) phase() (phase, deadline int64) {
	w := c.word.Load()
	return w & phases, w >> 2
}

// rest is entered between two requests.
func (c *conn) rest() {
	c.enter(idle, c.set.idleTimeout)
	c.fresh = true
}

// see notes what the first bytes of a request say about its surface, for the answer to a request that turns out to be
// malformed: fasthttp has forgotten its header by then.
func (c *conn) see(b []byte) {
	c.fresh, c.hint = false, ""
	if _, t, ok := bytes.Cut(b[:min(len(b), 64)], []byte{' '}); ok {
		if len(t) > 0 && t[0] != '/' { // the absolute form
			if _, rest, ok := bytes.Cut(t, []byte("://")); ok {
				t = rest[max(bytes.IndexByte(rest, '/'), 0):]
			}
		}
		for _, p := range [...]string{dataPath, meshPrefix} {
			if len(t) >= len(p) && string(t[:len(p)]) == p {
				c.hint = p
			}
		}
	}
}

// Read notices where a request begins. A connection that is told to end while it is idle ends without an answer: a
// response that nobody asked for could be taken for the next one's.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	phase := c.word.Load() & phases
	if n > 0 && phase == idle {
		c.enter(reading, c.set.readTimeout)
		if c.fresh && !c.secure {
			c.see(p[:n])
		}
	}
	if err != nil && phase == idle && errors.Is(err, os.ErrDeadlineExceeded) {
		return n, io.EOF
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	before := c.word.Load()
	c.enter(writing, c.set.writeTimeout)
	n, err := c.Conn.Write(p)
	c.word.Store(before)
	return n, err
}

// Close ends the connection; it lingers if the request was not read to its end.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if c.linger {
		if w, ok := c.Conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
			_ = c.Conn.SetReadDeadline(time.Now().Add(lingerFor))
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
		}
	}
	c.set.drop(c)
	return c.Conn.Close()
}

// expire ends whatever the connection is waiting for.
func (c *conn) expire() {
	if phase, _ := c.phase(); phase == writing {
		_ = c.Conn.SetWriteDeadline(past())
	} else {
		_ = c.Conn.SetReadDeadline(past())
	}
}

// past is a deadline that has passed.
func past() time.Time { return time.Unix(1, 0) }

// tlsConn is a conn behind TLS.
type tlsConn struct {
	*tls.Conn
	raw *conn
}

// Handshake is called by fasthttp before the first request.
func (t *tlsConn) Handshake() error {
	if err := t.Conn.Handshake(); err != nil {
		return err
	}
	t.raw.peer.Principal = guard.Principal(t.ConnectionState())
	t.raw.rest()
	return nil
}

// Read is a conn's, after decryption.
func (t *tlsConn) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 && t.raw.fresh {
		t.raw.see(p[:n])
	}
	return n, err
}

// owner is the conn below what a listener handed to fasthttp.
func owner(c net.Conn) *conn {
	switch c := c.(type) {
	case *conn:
		return c
	case *tlsConn:
		return c.raw
	}
	return nil
}
