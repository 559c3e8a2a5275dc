package extauthz

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // a compressed call is answered, not refused by a gRPC error
	_ "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"

	"thymus/internal/guard"
	"thymus/pdp"
)

// service is the one that proxies call.
const service = "envoy.service.auth.v3.Authorization"

// Limits of the gRPC listeners. A proxy's own deadline is milliseconds; these are for what is no proxy, or a broken one.
const (
	maxStreams     = 1024             // concurrent calls of a connection
	maxHeaderList  = 64 << 10         // bytes of a call's metadata
	handshakeTime  = 10 * time.Second // of TLS and HTTP/2 together
	pingAfter      = time.Minute      // of silence
	pingTimeout    = 20 * time.Second
	pingsNotBefore = 5 * time.Second // of a client
)

// grpcServer is the gRPC side of a Mesh.
type grpcServer struct {
	*grpc.Server
	health    *health.Server
	listeners []*listener
	creds     *handshake
	open      atomic.Int64
	serving   sync.WaitGroup
	once      sync.Once
}

// handshake is the server's credentials: each listener decides for its own connections whether they speak TLS.
type handshake struct{}

// caller is what a connection's handshake found out, for each of its calls.
type caller struct {
	credentials.CommonAuthInfo
	peer pdp.Peer
}

// AuthType implements credentials.AuthInfo.
func (*caller) AuthType() string { return "thymus" }

func (m *Mesh) open() {
	s := &m.server
	s.creds = &handshake{}
	s.Server = grpc.NewServer(
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")}),
		grpc.Creds(s.creds),
		grpc.MaxRecvMsgSize(m.MaxBody()),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsNotBefore, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)
	s.health = health.NewServer()
	s.health.SetServingStatus(service, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s.Server, s.health)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: check}},
		Metadata:    "envoy/service/auth/v3/external_auth.proto",
	}, m)
}

// check answers one call. Its error is nil, whatever happens: an error would be a gRPC status.
func check(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	m := srv.(*Mesh)
	t := m.turn()
	if err := decode(t); err != nil { // the message was cut off
		t.size = 0
		t.tape.load(0)
	}
	t.start = time.Now()
	m.check(ctx, t)
	return t, nil
}

func (m *Mesh) check(ctx context.Context, t *turn) {
	defer t.end(pdp.SurfaceGRPC)
	defer func() {
		if r := recover(); r != nil {
			m.panicked(r)
			t.refuse("the call ended in a panic")
			t.object = object{}
			t.out = t.appendResponse(t.out[:0])
		}
	}()
	t.decide(pdp.SurfaceGRPC, peerOf(ctx))
	t.out = t.appendResponse(t.out[:0])
}

// peerOf is what the connection's handshake found out.
func peerOf(ctx context.Context) *pdp.Peer {
	if p, ok := peer.FromContext(ctx); ok {
		if c, ok := p.AuthInfo.(*caller); ok {
			return &c.peer
		}
	}
	return &pdp.Peer{}
}

// codec moves the bytes of Check's messages, and leaves those of other services to protobuf.
type codec struct{ encoding.CodecV2 }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	t, ok := v.(*turn)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	t.size = data.Len()
	t.tape.load(t.size)
	for _, b := range data {
		t.tape.doc.Text = append(t.tape.doc.Text, b.ReadOnlyData()...)
	}
	return nil
}

// Marshal implements encoding.CodecV2. It is the last that sees a turn.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	t, ok := v.(*turn)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	b := mem.Copy(t.out, mem.DefaultBufferPool())
	t.release()
	return mem.BufferSlice{b}, nil
}

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

// Start lets gRPC callers in and returns at once. It is called once.
func (m *Mesh) Start() {
	for _, l := range m.server.listeners {
		m.server.serving.Go(func() {
			if err := m.server.Server.Serve(l); err != nil {
				m.o.Log.Warn("listener ended", err)
			}
		})
	}
}

// NotServing makes the health service say so: proxies that ask it go elsewhere.
func (m *Mesh) NotServing() { m.server.health.Shutdown() }

// Drain closes the listeners, waits for calls in flight until ctx ends, and closes what is left. The error is ErrCut or
// nil.
func (m *Mesh) Drain(ctx context.Context) error {
	m.NotServing()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.server.GracefulStop()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ErrCut
		m.server.Stop()
		<-done
	}
	m.Close()
	return err
}

// Close ends everything at once.
func (m *Mesh) Close() {
	m.server.once.Do(func() {
		m.server.health.Shutdown()
		m.server.Stop()
		for _, l := range m.server.listeners {
			_ = l.Close()
		}
		m.server.serving.Wait()
	})
}

// ClientHandshake implements credentials.TransportCredentials. No client uses it.
func (*handshake) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, fmt.Errorf("%s: not for clients", "thymus")
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
		return nc, who, nil
	}
	secure := tls.Server(nc, c.tls)
	if err := secure.Handshake(); err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	who.SecurityLevel = credentials.PrivacyAndIntegrity
	who.peer.Principal = guard.Principal(secure.ConnectionState())
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
	c.once.Do(func() { c.m.server.open.Add(-1) })
	return c.Conn.Close()
}
