package load_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"thymus/bench/load"
	"thymus/bench/workload"
)

// TestMain looks for goroutines of ours that stay behind; fasthttp's outlive its Shutdown for a while.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// serve runs a handler on a listener and says where.
func serve(t testing.TB, network string, h fasthttp.RequestHandler) load.Endpoint {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{Handler: h, NoDefaultDate: true, Logger: quiet{}}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Shutdown()
		<-done
	})
	return load.Endpoint{Network: network, Address: l.Addr().String()}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// echo answers every call with the same body.
func echo(body string) fasthttp.RequestHandler {
	b := []byte(body)
	return func(c *fasthttp.RequestCtx) { c.Response.SetBodyRaw(b) }
}

// alice asks to read; permitted.
func question(allow bool) workload.Request {
	return workload.Request{Subject: "alice", Role: "reader", Action: "GET", Resource: "/a", Allow: allow}
}

func calls(t testing.TB, target load.Target, e load.Endpoint, judge bool, rs ...workload.Request) []load.Call {
	t.Helper()
	cs, err := (&load.Encoder{Target: target, Endpoint: e}).Calls(rs, judge)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func run(t testing.TB, o load.Options) *load.Result {
	t.Helper()
	r, err := load.Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Settled() {
		t.Fatalf("asked %d, sent %d, unsent %d, ok %d, wrong %d, errors %d: the equations do not hold", r.Asked, r.Sent, r.Unsent, r.OK, r.Wrong, r.Errors)
	}
	return r
}

// whole runs until every call that was due was sent. A machine that stands still as the run ends leaves some unsent, and
// says so: that is right, and not what a test asks about that counts answers. It asks for as many calls again, at half
// the rate at first, so that a slow machine can keep up; before each run it calls those.
func whole(t testing.TB, o load.Options, before ...func()) *load.Result {
	t.Helper()
	for try := range 24 {
		for _, f := range before {
			f()
		}
		r := run(t, o)
		if r.Unsent == 0 {
			return r
		}
		t.Logf("%d of %d calls unsent at %g a second", r.Unsent, r.Asked, o.Rate)
		if try < 4 {
			o.Rate, o.Warmup, o.Duration = o.Rate/2, 2*o.Warmup, 2*o.Duration
		}
	}
	t.Fatal("calls stay unsent, however slowly they are asked")
	return nil
}

// enough runs for longer and longer until that many calls were answered as they should be, or nearly a minute was too
// little for it: what a machine gets done in a given time is no test's business.
func enough(t testing.TB, o load.Options, calls uint64) *load.Result {
	t.Helper()
	for {
		r := run(t, o)
		if r.OK >= calls {
			return r
		}
		if o.Duration *= 2; o.Duration > 30*time.Second {
			t.Fatalf("ok %d of %d in %s, errors %v: expected %d", r.OK, r.Sent, o.Duration/2, r.Faults, calls)
		}
	}
}

// both runs a test with the event loop and with goroutines.
func both(t *testing.T, f func(t *testing.T, portable bool)) {
	t.Run("event loop", func(t *testing.T) { f(t, false) })
	t.Run("goroutines", func(t *testing.T) { f(t, true) })
}

const permitted = `{"allowed":true,"reason":"says \"allowed\":false","x":{"allowed":false}}`
