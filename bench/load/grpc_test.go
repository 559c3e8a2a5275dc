package load_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	status "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"

	"thymus/bench/load"
)

// checker is a real gRPC server that permits who is called alice.
type checker struct {
	auth.UnimplementedAuthorizationServer
	n     atomic.Int64
	check func(n int64, r *auth.CheckRequest) (*auth.CheckResponse, error)
}

func (c *checker) Check(_ context.Context, r *auth.CheckRequest) (*auth.CheckResponse, error) {
	return c.check(c.n.Add(1), r)
}

func byName(_ int64, r *auth.CheckRequest) (*auth.CheckResponse, error) {
	h := r.GetAttributes().GetRequest().GetHttp()
	code := codes.PermissionDenied
	if h.GetHeaders()["x-agent-id"] == "alice" && h.GetMethod() == "GET" && h.GetPath() == "/a" && h.GetHeaders()[":path"] == "/a" &&
		r.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetAddress() == "127.0.0.1" {
		code = codes.OK
	}
	return &auth.CheckResponse{Status: &status.Status{Code: int32(code), Message: "because"}}, nil
}

func serveGRPC(t *testing.T, check func(int64, *auth.CheckRequest) (*auth.CheckResponse, error), o ...grpc.ServerOption) load.Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(o...)
	auth.RegisterAuthorizationServer(s, &checker{check: check})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return load.Endpoint{Network: "tcp", Address: l.Addr().String(), GRPC: true}
}

func TestGRPCIsAsked(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := serveGRPC(t, byName)
		bob := question(false)
		bob.Subject = "bob"
		r := enough(t, load.Options{Endpoint: e, Target: load.GRPC, Calls: calls(t, load.GRPC, e, true, question(true), bob), Connections: 4,
			Duration: time.Second, Portable: portable}, 500)
		if r.OK != r.Sent || r.Reconnects > 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestGRPCFaultsAreTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		check func(int64, *auth.CheckRequest) (*auth.CheckResponse, error)
		want  func(r *load.Result) uint64
	}{
		{"a gRPC error is no decision", func(int64, *auth.CheckRequest) (*auth.CheckResponse, error) { return nil, context.DeadlineExceeded },
			func(r *load.Result) uint64 { return r.Faults["status"] }},
		{"a permit where a deny is right", func(int64, *auth.CheckRequest) (*auth.CheckResponse, error) { return &auth.CheckResponse{}, nil },
			func(r *load.Result) uint64 { return r.Wrong }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := serveGRPC(t, c.check)
			r := whole(t, load.Options{Endpoint: e, Target: load.GRPC, Calls: calls(t, load.GRPC, e, true, question(false)), Connections: 2,
				Rate: 200, Duration: 200 * time.Millisecond})
			if c.want(r) != 40 || r.Asked != 40 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestGRPCOutlivesWhatWindowsHold sends and receives much more than a connection's first windows.
func TestGRPCOutlivesWhatWindowsHold(t *testing.T) {
	e := serveGRPC(t, func(int64, *auth.CheckRequest) (*auth.CheckResponse, error) {
		return &auth.CheckResponse{Status: &status.Status{Message: string(make([]byte, 20_000))}}, nil
	})
	q := question(true)
	q.Resource = "/" + string(make([]byte, 15_000))
	r := whole(t, load.Options{Endpoint: e, Target: load.GRPC, Calls: calls(t, load.GRPC, e, true, q), Connections: 1, Rate: 200,
		Duration: 2 * time.Second})
	if r.OK != 400 {
		t.Errorf("%+v", r)
	}
}

func TestGRPCConnectionsThatAgeAreOpenedAgain(t *testing.T) {
	e := serveGRPC(t, byName, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 50 * time.Millisecond}))
	r := whole(t, load.Options{Endpoint: e, Target: load.GRPC, Calls: calls(t, load.GRPC, e, true, question(true)), Connections: 2, Rate: 500,
		Duration: time.Second})
	if r.Asked != 500 || r.Reconnects < 4 || r.OK < 490 {
		t.Errorf("%+v", r)
	}
}

func TestACheckIsWhatEnvoySends(t *testing.T) {
	e := load.Endpoint{Network: "tcp", Address: "127.0.0.1:9"}
	var m auth.CheckRequest
	if err := proto.Unmarshal(calls(t, load.GRPC, e, true, question(true))[0].Wire, &m); err != nil {
		t.Fatal(err)
	}
	h := m.GetAttributes().GetRequest().GetHttp()
	if h.GetMethod() != "GET" || h.GetPath() != "/a" || h.GetHost() != "127.0.0.1:9" || h.GetProtocol() != "HTTP/1.1" || h.GetHeaders()["x-agent-role"] != "reader" ||
		m.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetPortValue() != 40000 || len(m.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("got %v", &m)
	}
}
