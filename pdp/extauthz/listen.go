package extauthz

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"thymus/internal/guard"
	"thymus/pdp"
)

// UnixOptions of a Unix socket.
type UnixOptions struct {
	Path string
	Mode fs.FileMode
	UIDs []uint32 // who may connect; empty: anybody whom the mode lets
}

// Listen opens a TCP listener, with TLS unless t is nil, and returns its address.
func (m *Mesh) Listen(addr string, t *tls.Config) (net.Addr, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	m.server.listeners = append(m.server.listeners, &listener{Listener: ln, m: m, tls: t})
	return ln.Addr(), nil
}

// ListenUnix opens a Unix socket.
func (m *Mesh) ListenUnix(o UnixOptions) error {
	ln, err := guard.ListenUnix(o.Path, o.Mode)
	if err != nil {
		return err
	}
	m.server.listeners = append(m.server.listeners, &listener{Listener: ln, m: m, uids: o.UIDs})
	return nil
}

// handshake is the server's credentials: each listener decides for its own connections whether they speak TLS.
type handshake struct{}

// caller is what a connection's handshake found out, for each of its calls.
type caller struct {
	credentials.CommonAuthInfo
	peer pdp.Peer

	arriving atomic.Int64 // calls of which the message has begun to arrive, or should have
	last     atomic.Int64 // when one arrived last, or the first of those began: nanoseconds of Unix time
}

// begin notes that a call has begun to arrive.
func (c *caller) begin() {
	if c.arriving.Add(1) == 1 {
		c.last.Store(time.Now().UnixNano())
	}
}

// arrived notes that a call is whole, or will never be.
func (c *caller) arrived() {
	c.arriving.Add(-1)
	c.last.Store(time.Now().UnixNano())
}

// stalled says whether something has been arriving for too long while nothing did arrive.
func (c *caller) stalled(now time.Time) bool {
	return c.arriving.Load() > 0 && now.UnixNano()-c.last.Load() > int64(stalledAfter)
}

// conns are the connections that have shaken hands.
type conns struct {
	mu   sync.Mutex
	set  map[*conn]*caller
	done chan struct{}
	once sync.Once
}

func (s *conns) add(c *conn, who *caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[c] = who
}

func (s *conns) drop(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, c)
}

// watch ends connections that have stalled, until close.
func (s *conns) watch() {
	t := time.NewTicker(stalledAfter / 4)
	defer t.Stop()
	for {
		select {
		case <-s.done:
			return
		case now := <-t.C:
			s.sweep(now)
		}
	}
}

func (s *conns) sweep(now time.Time) {
	var stalled []*conn
	s.mu.Lock()
	for c, who := range s.set {
		if who.stalled(now) {
			stalled = append(stalled, c)
		}
	}
	s.mu.Unlock()
	for _, c := range stalled {
		c.m.stalled.Add(1)
		_ = c.Close()
	}
}

func (s *conns) close() { s.once.Do(func() { close(s.done) }) }

// AuthType implements credentials.AuthInfo.
func (*caller) AuthType() string { return "thymus" }

// ClientHandshake implements credentials.TransportCredentials. No client uses it.
func (*handshake) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a server's")
}

// ServerHandshake implements credentials.TransportCredentials.
func (*handshake) ServerHandshake(nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, ok := nc.(*conn)
	if !ok {
		return nil, nil, fmt.Errorf("a connection of our own listeners expected, got a %T", nc)
	}
	who := &caller{peer: c.peer}
	who.SecurityLevel = credentials.NoSecurity
	if c.tls == nil {
		c.m.server.conns.add(c, who)
		return nc, who, nil
	}
	secure := tls.Server(nc, c.tls)
	if err := secure.Handshake(); err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	who.SecurityLevel = credentials.PrivacyAndIntegrity
	who.peer.Principal = guard.Principal(secure.ConnectionState())
	c.m.server.conns.add(c, who)
	return secure, who, nil
}

// Info implements credentials.TransportCredentials.
func (*handshake) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "thymus"}
}

// Clone implements credentials.TransportCredentials.
func (h *handshake) Clone() credentials.TransportCredentials { return h }

// OverrideServerName implements credentials.TransportCredentials.
func (*handshake) OverrideServerName(string) error { return nil }

// listener is what grpc-go accepts from: it knows the peer and keeps to the limit.
type listener struct {
	net.Listener
	m    *Mesh
	tls  *tls.Config
	uids []uint32
}

// conn is one connection.
type conn struct {
	net.Conn
	m    *Mesh
	tls  *tls.Config
	peer pdp.Peer
	once sync.Once
}

// Accept implements net.Listener. Errors that pass are grpc-go's to wait out.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, m: l.m, tls: l.tls}
		if u, ok := nc.(*net.UnixConn); ok {
			cred, err := guard.PeerCred(u)
			if len(l.uids) > 0 && (err != nil || !slices.Contains(l.uids, cred.UID)) {
				l.m.refused.Add(1)
				_ = nc.Close()
				continue
			}
			c.peer = pdp.Peer{Unix: true, HasCred: err == nil, UID: cred.UID, GID: cred.GID, PID: cred.PID}
		}
		if l.m.server.open.Add(1) > int64(l.m.o.MaxConnections) {
			l.m.refused.Add(1)
			_ = c.Close()
			continue
		}
		return c, nil
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.m.server.open.Add(-1)
		c.m.server.conns.drop(c)
	})
	return c.Conn.Close()
}
