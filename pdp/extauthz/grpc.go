package extauthz

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"

	"thymus/pdp"
)

// service is the one that proxies call.
const service = "envoy.service.auth.v3.Authorization"

// Limits of the gRPC listeners. A proxy's own deadline is milliseconds; these are for what is no proxy, or a broken one.
const (
	maxStreams     = 1024             // concurrent calls of a connection
	maxCalls       = 8192             // of all connections together; what is beyond is denied unread
	maxOther       = 64 << 10         // bytes of a message that is no call of Check
	maxHeaderList  = 64 << 10         // bytes of a call's metadata
	handshakeTime  = 10 * time.Second // of TLS and HTTP/2 together
	pingAfter      = time.Minute      // of silence
	pingTimeout    = 20 * time.Second
	pingsNotBefore = 5 * time.Second  // of a client
	stalledAfter   = 20 * time.Second // without a call arriving whole while one has begun to: the connection ends
)

// grpcServer is the gRPC side of a Mesh.
type grpcServer struct {
	*grpc.Server
	health    *watched
	listeners []*listener
	creds     *handshake
	open      atomic.Int64 // connections
	calls     atomic.Int64 // of Check under way
	conns     conns
	serving   sync.WaitGroup
	once      sync.Once
}

func (m *Mesh) open() {
	s := &m.server
	s.creds = &handshake{}
	s.conns.set, s.conns.done = map[*conn]*caller{}, make(chan struct{})
	s.Server = grpc.NewServer(
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")}),
		grpc.Creds(s.creds),
		grpc.MaxRecvMsgSize(maxOther),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsNotBefore, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)
	s.health = newWatched()
	s.health.SetServingStatus(service, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s.Server, s.health)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: check}},
		Metadata:    "envoy/service/auth/v3/external_auth.proto",
	}, m)
}

// check answers one call. Its error is nil, whatever happens: an error would be a gRPC status. It reads the message by
// itself, so decode is not used.
func check(srv any, ctx context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	m := srv.(*Mesh)
	t, c := m.turn(), callerOf(ctx)
	if m.server.calls.Add(1) > maxCalls {
		t.cause = causeBusy
	} else {
		c.begin()
		t.cause = t.receive(ctx)
		c.arrived()
	}
	t.start = time.Now()
	m.check(t, &c.peer)
	m.server.calls.Add(-1)
	return t, nil
}

func (m *Mesh) check(t *turn, peer *pdp.Peer) {
	defer t.end(pdp.SurfaceGRPC)
	defer func() {
		if r := recover(); r != nil {
			m.panicked(r)
			t.refuse("the call ended in a panic")
			t.object = object{}
			t.out = t.appendResponse(t.out[:0])
		}
	}()
	if t.cause != "" {
		t.refuse(t.cause)
	} else {
		t.decide(pdp.SurfaceGRPC, peer)
	}
	t.out = t.appendResponse(t.out[:0])
}

// callerOf is what the connection's handshake found out.
func callerOf(ctx context.Context) *caller {
	if p, ok := peer.FromContext(ctx); ok {
		if c, ok := p.AuthInfo.(*caller); ok {
			return c
		}
	}
	return &caller{}
}

// codec writes the bytes of Check's answers, and leaves the messages of other services to protobuf.
type codec struct{ encoding.CodecV2 }

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

// Start lets gRPC callers in and returns at once. It is called once.
func (m *Mesh) Start() {
	m.server.serving.Go(m.server.conns.watch)
	for _, l := range m.server.listeners {
		m.server.serving.Go(func() {
			// A server that was stopped before this listener's turn came is no trouble.
			if err := m.server.Server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
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
	m.server.health.end()
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
		m.server.health.end()
		m.server.Stop()
		m.server.conns.close()
		for _, l := range m.server.listeners {
			_ = l.Close()
		}
		m.server.serving.Wait()
	})
}
