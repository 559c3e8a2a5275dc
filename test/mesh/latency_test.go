//go:build unix

package mesh_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"

	"thymus/test/harness"
)

// unasked is the shipped configuration without its ext_authz filter.
func unasked(t testing.TB, s *sidecar, app string) proxy {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "deployments", "envoy", "grpc.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), "                  - name: envoy.filters.http.ext_authz\n")
	i := strings.Index(rest, "                  - name: envoy.filters.http.router\n")
	if !ok || i < 0 {
		t.Fatal("the filter is not where it is looked for")
	}
	listen := harness.FreePort(t)
	config := strings.NewReplacer("address: 0.0.0.0, port_value: 10000", "address: 127.0.0.1, port_value: "+listen,
		"port_value: 9901", "port_value: "+harness.FreePort(t), "port_value: 8080", "port_value: "+app).Replace(before + rest[i:])
	return startEnvoy(t, envoyProgram(t), config, listen)
}

// permits answers every Check at once: what asking costs by itself.
type permits struct {
	auth.UnimplementedAuthorizationServer
}

func (permits) Check(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) {
	return &auth.CheckResponse{Status: &status.Status{}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{}}}, nil
}

// bare is an Envoy that asks a grpc-go server without a policy.
func bare(b *testing.B, app string) proxy {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	g := grpc.NewServer()
	auth.RegisterAuthorizationServer(g, permits{})
	go func() { _ = g.Serve(ln) }()
	b.Cleanup(g.Stop)
	_, at, _ := net.SplitHostPort(ln.Addr().String())
	return envoy(b, "grpc-tcp.yaml", &sidecar{mesh: at, data: at, socket: "none"}, app)
}

// What a question adds to a request through Envoy: one client, which asks each Envoy in turn, so that what disturbs the
// machine disturbs all alike. Microseconds.
//
//	go test -run - -bench AddedLatency -benchtime 20000x -count 3 ./test/mesh
func BenchmarkAddedLatency(b *testing.B) {
	s, app := thymus(b, mixed), application(b)
	type side struct {
		name string
		lane *lane
		took []time.Duration
	}
	sides := []*side{{name: "unasked", lane: &lane{addr: unasked(b, s, app).addr}}, {name: "bare", lane: &lane{addr: bare(b, app).addr}}}
	for i, name := range []string{"tcp", "unix", "http"} {
		sides = append(sides, &side{name: name, lane: &lane{addr: envoys()[i].start(b, s, app).addr}})
	}
	turn := func(n int, keep bool) {
		q := ask(6*n, true)
		for i := range sides {
			v := sides[(i+n)%len(sides)]
			begin := time.Now()
			got, err := v.lane.ask(q)
			took := time.Since(begin)
			if err != nil || got.app == nil {
				b.Fatalf("%s: %v %+v", v.name, err, got)
			}
			if keep {
				v.took = append(v.took, took)
			}
		}
	}
	for n := range 500 {
		turn(n, false)
	}
	b.ResetTimer()
	for n := range b.N {
		turn(n, true)
	}
	b.StopTimer()
	at := func(v *side, q float64) float64 {
		return float64(v.took[int(q*float64(len(v.took)-1))]) / 1e3
	}
	for _, v := range sides {
		slices.Sort(v.took)
		b.ReportMetric(at(v, 0.5), v.name+"-p50-µs")
		b.ReportMetric(at(v, 0.99), v.name+"-p99-µs")
		v.lane.close()
	}
	b.ReportMetric(0, "ns/op") // of no meaning: five requests
}
