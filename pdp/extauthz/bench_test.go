package extauthz_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"thymus/pdp/engine"
	"thymus/pdp/extauthz"
	"thymus/rules"
)

// floor is grpc-go with Envoy's own types and no decision: a fixed answer.
type floor struct {
	auth.UnimplementedAuthorizationServer
	answer *auth.CheckResponse
}

func (f floor) Check(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) {
	return f.answer, nil
}

// cpu is what this process has spent, user and system together.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Check calls over TCP, against a grpc-go server that decodes the same message and answers the same one. Client and server
// are one process: cpu-µs/call is of both, and says more than calls/s where others use the machine.
//
//	go test -run - -bench Check -count 6 ./pdp/extauthz | benchstat -col /server -
func BenchmarkCheck(b *testing.B) {
	r := start(b, byAction, func(_ *extauthz.Options, e *engine.Options, _ *rules.Options) { e.Recorder, e.Input = nil, false })
	req := get("/shop/items/42?page=1", "user-agent", "curl/8", "accept", "*/*", "x-request-id", "6f1c", "authorization",
		"Bearer abcdefghijklmnopqrstuvwxyz", "x-forwarded-for", "10.1.2.3", "x-forwarded-proto", "https")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := grpc.NewServer()
	auth.RegisterAuthorizationServer(s, floor{answer: r.check(req)})
	go func() { _ = s.Serve(ln) }()
	b.Cleanup(s.Stop)
	_, echo := dial(b, ln.Addr().String())
	for _, c := range []struct {
		name   string
		client auth.AuthorizationClient
	}{{"echo", echo}, {"thymus", r.client}} {
		b.Run("server="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16)
			start := cpu()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if resp, err := c.client.Check(context.Background(), req); err != nil || resp.GetStatus().GetCode() != 0 {
						b.Error(resp, err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N), "cpu-µs/call")
		})
	}
}
