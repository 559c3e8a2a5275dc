package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"thymus/internal/guard"
	"thymus/pdp"
	"thymus/pdp/wire"
)

// refusal is what a connection beyond the limit is told, before any request is read, because there is nobody to read it.
// Where proxies call it is a denial: what is in the 500s they may be told to let pass.
func refusal(status int) []byte {
	b := wire.AppendProblem(nil, wire.StatusProblem(status, "too many connections are open"))
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), typeProblem, len(b), b)
}

// listener is what fasthttp accepts from: it knows the peer, keeps to the limit and lives through errors that pass.
type listener struct {
	net.Listener
	s    *Server
	tls  *tls.Config
	uids []uint32 // of peers on a Unix socket; empty: any
}

// Accept is called by one goroutine.
func (l *listener) Accept() (net.Conn, error) {
	pause := 5 * time.Millisecond
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil, err
			}
			// Out of descriptors or memory, or the client has gone: nothing that ends a server.
			l.s.o.Log.Warn("accept failed", err)
			select {
			case <-l.s.stopped:
				return nil, net.ErrClosed
			case <-time.After(pause):
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		c := &conn{Conn: nc, fresh: true}
		if !l.admit(c) {
			continue
		}
		if l.tls != nil {
			c.secure = true
			return &tlsConn{Conn: tls.Server(c, l.tls), raw: c}, nil
		}
		return c, nil
	}
}

func (l *listener) admit(c *conn) bool {
	if u, ok := c.Conn.(*net.UnixConn); ok {
		cred, err := guard.PeerCred(u)
		if len(l.uids) > 0 && (err != nil || !slices.Contains(l.uids, cred.UID)) {
			l.s.stats.strangers.Add(1)
			_ = u.Close()
			return false
		}
		c.peer = pdp.Peer{Unix: true, HasCred: err == nil, UID: cred.UID, GID: cred.GID, PID: cred.PID}
	}
	if l.s.conns.add(c) {
		l.s.stats.connections.Add(1)
		return true
	}
	l.s.stats.refused.Add(1)
	if l.tls == nil {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, _ = c.Conn.Write(l.s.full)
	}
	_ = c.Conn.Close()
	return false
}
