package load_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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

// both runs a test with the event loop and with goroutines.
func both(t *testing.T, f func(t *testing.T, portable bool)) {
	t.Run("event loop", func(t *testing.T) { f(t, false) })
	t.Run("goroutines", func(t *testing.T) { f(t, true) })
}

const permitted = `{"allowed":true,"reason":"says \"allowed\":false","x":{"allowed":false}}`

func TestAnOpenLoopAsksWhatItsScheduleSays(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := serve(t, "tcp", echo(permitted))
		r := run(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: 2000, Connections: 8,
			Warmup: 100 * time.Millisecond, Duration: 500 * time.Millisecond, Portable: portable})
		if r.Asked != 1000 || r.OK != r.Asked {
			t.Errorf("asked %d, ok %d, expected 1000 of each; %+v", r.Asked, r.OK, r.Faults)
		}
		if r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P99 {
			t.Errorf("latency %+v makes no sense", r.Latency)
		}
	})
}

func TestAClosedLoopKeepsEachConnectionBusy(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		var most, now atomic.Int64
		e := serve(t, "tcp", func(c *fasthttp.RequestCtx) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond) // so that all are seen at once
			now.Add(-1)
			c.Response.SetBodyString(permitted)
		})
		r := run(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 8,
			Duration: 300 * time.Millisecond, Portable: portable})
		if r.OK < 500 || r.Asked != r.Sent || most.Load() < 6 {
			t.Errorf("ok %d, at most %d at once, expected 8 connections to be kept busy", r.OK, most.Load())
		}
	})
}

func TestAUnixSocketIsAsked(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := serve(t, "unix", echo(permitted))
		r := run(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 4,
			Duration: 100 * time.Millisecond, Portable: portable})
		if r.OK == 0 || r.OK != r.Sent {
			t.Errorf("ok %d of %d: %v", r.OK, r.Sent, r.Faults)
		}
	})
}

func TestWhatAnAnswerCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		target load.Target
		status int
		body   string
		allow  bool
		want   string
	}{
		{"a native permit", load.Native, 200, permitted, true, "ok"},
		{"a native permit where a deny is right", load.Native, 200, permitted, false, "wrong"},
		{"a native answer without a decision", load.Native, 200, `{"x":{"allowed":true}}`, true, "malformed"},
		{"a native answer whose decision is a string", load.Native, 200, `{"allowed":"true"}`, true, "malformed"},
		{"a problem", load.Native, 503, `{"allowed":true}`, true, "status"},
		{"an AuthZEN permit", load.AuthZEN, 200, `{ "decision" : true , "context":{}}`, true, "ok"},
		{"an AuthZEN deny where a permit is right", load.AuthZEN, 200, `{"decision":false}`, true, "wrong"},
		{"a boolean result", load.OPA, 200, `{"decision_id":"]}\\","result":true}`, true, "ok"},
		{"an object with allow", load.OPA, 200, `{"result":{"headers":{"allow":true},"allow":false}}`, false, "ok"},
		{"an undefined result denies", load.OPA, 200, `{"decision_id":"a"}`, false, "ok"},
		{"an undefined result is no permit", load.OPA, 200, `{}`, true, "wrong"},
		{"a result that is no decision", load.OPA, 200, `{"result":[true]}`, true, "malformed"},
		{"no JSON at all", load.OPA, 200, `hello`, false, "malformed"},
		{"a gate that lets pass", load.HTTP, 200, ``, true, "ok"},
		{"a gate that is shut", load.HTTP, 403, `no`, false, "ok"},
		{"a gate that lets pass what it should not", load.HTTP, 200, ``, false, "wrong"},
		{"a gate that is broken is no deny", load.HTTP, 500, ``, false, "status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := serve(t, "tcp", func(x *fasthttp.RequestCtx) {
				x.SetStatusCode(c.status)
				x.SetBodyString(c.body)
			})
			r := run(t, load.Options{Endpoint: e, Target: c.target, Calls: calls(t, c.target, e, true, question(c.allow)), Connections: 1,
				Rate: 1000, Duration: 20 * time.Millisecond})
			got := map[string]uint64{"ok": r.OK, "wrong": r.Wrong, "status": r.Faults["status"], "malformed": r.Faults["malformed"]}
			if got[c.want] != 20 {
				t.Errorf("got %v, expected 20 %s", got, c.want)
			}
		})
	}
}

func TestWhatBreaksIsCountedAndOpenedAgain(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		var n atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch n.Add(1) % 4 {
			case 0: // cut off
				c, _, _ := w.(http.Hijacker).Hijack()
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{")
				c.Close()
			case 1: // closed after the answer
				w.Header().Set("Connection", "close")
				fallthrough
			case 2: // in chunks
				fmt.Fprint(w, permitted[:5])
				w.(http.Flusher).Flush()
				fmt.Fprint(w, permitted[5:])
			default:
				fmt.Fprint(w, permitted)
			}
		}))
		defer s.Close()
		e, err := load.ParseEndpoint(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		r := run(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 2, Rate: 200,
			Duration: time.Second, Portable: portable})
		if r.Asked != 200 || r.Faults["transport"] != 50 || r.OK != 150 || r.Reconnects < 50 {
			t.Errorf("asked %d, ok %d, faults %v, reconnects %d; expected 200, 150, 50 and no fewer than 50", r.Asked, r.OK, r.Faults, r.Reconnects)
		}
	})
}

func TestACallThatIsNotAnsweredCountsWithTheTimeItWaited(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		release := make(chan struct{})
		e := serve(t, "tcp", func(*fasthttp.RequestCtx) { <-release })
		defer close(release)
		r := run(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 2, Rate: 100,
			Duration: 500 * time.Millisecond, Timeout: 200 * time.Millisecond, Portable: portable})
		if r.Asked != 50 || r.OK != 0 || r.Errors != r.Faults["timeout"] || r.Errors < 4 || r.Unsent < 30 {
			t.Errorf("%+v: expected 50 asked, none answered, most never sent", r)
		}
		if r.Latency.P50 < 200 || r.Latency.Max < 400 {
			t.Errorf("latencies %+v hide that nobody was answered", r.Latency)
		}
	})
}

func TestAServerThatGoesAwayIsNotedAndAskedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	e := load.Endpoint{Network: "tcp", Address: addr}
	first := &fasthttp.Server{Handler: echo(permitted), CloseOnShutdown: true, Logger: quiet{}}
	go first.Serve(l)
	var second *fasthttp.Server
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(300 * time.Millisecond) // in the middle of the run
		first.Shutdown()
		time.Sleep(200 * time.Millisecond) // nobody is there for a while
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		second = &fasthttp.Server{Handler: echo(permitted), Logger: quiet{}}
		wg.Go(func() { second.Serve(l) })
	})
	r := run(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 4, Rate: 1000,
		Duration: 1500 * time.Millisecond})
	if second == nil {
		t.Fatal("the second server did not start")
	}
	second.Shutdown()
	wg.Wait()
	if r.ConnectFailures == 0 || r.Latency.Max < 150 || r.OK < 1400 {
		t.Errorf("ok %d, connect failures %d, max %.0f ms: the gap does not show", r.OK, r.ConnectFailures, r.Latency.Max)
	}
}

func TestNobodyThereIsAnError(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		e := load.Endpoint{Network: "tcp", Address: l.Addr().String()}
		_, err = load.Run(context.Background(), load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 2,
			Duration: time.Second, Portable: portable})
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v, expected a refused connection", err)
		}
	})
}

func TestARunEndsWithItsContext(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := serve(t, "tcp", echo(permitted))
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		r, err := load.Run(ctx, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: 1000, Connections: 2,
			Duration: time.Hour, Portable: portable})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 5*time.Second || r.OK < 50 || r.Asked > 1000 || !r.Settled() {
			t.Errorf("took %s, %+v", took, r)
		}
	})
}

// TestAStallShows is the reason for an open loop: a server that answers at once, but for a tenth of each second not at
// all. A tenth of the calls should begin meanwhile, so the 95th percentile is about half a stall. A closed loop asks once
// a connection meanwhile and sees nothing of it up to its 99th.
func TestAStallShows(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		began := time.Now()
		e := serve(t, "tcp", func(c *fasthttp.RequestCtx) {
			if into := time.Since(began) % time.Second; into < 100*time.Millisecond {
				time.Sleep(100*time.Millisecond - into) // the stall
			}
			c.Response.SetBodyString(permitted)
		})
		o := load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: 2000, Connections: 8,
			Duration: 3 * time.Second, Portable: portable}
		open := run(t, o)
		o.Rate = 0
		closed := run(t, o)
		t.Logf("open loop: p50 %.2f p99 %.1f max %.1f ms; closed loop: p50 %.3f p99 %.2f max %.1f ms, %d calls",
			open.Latency.P50, open.Latency.P99, open.Latency.Max, closed.Latency.P50, closed.Latency.P99, closed.Latency.Max, closed.OK)
		if open.Latency.P99 < 70 || open.Latency.P99 > 150 || open.Latency.P50 > 30 {
			t.Errorf("open loop: p50 %.2f ms, p99 %.2f ms: the stall does not show as it should", open.Latency.P50, open.Latency.P99)
		}
		if closed.Latency.P99 > 50 {
			t.Errorf("closed loop: p99 %.2f ms: was the server stalled more often than it says?", closed.Latency.P99)
		}
		if open.Service.P90 > 50 {
			t.Errorf("open loop: 90 %% took %.2f ms from their write: this is not the server's stall", open.Service.P90)
		}
	})
}

// TestAskingAllocatesNothing counts what the whole process allocates, the server included, whose answers allocate nothing
// either.
func TestAskingAllocatesNothing(t *testing.T) {
	for _, rate := range []float64{0, 20_000} {
		e := serve(t, "tcp", echo(permitted))
		o := load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: rate, Connections: 16, Duration: 200 * time.Millisecond}
		run(t, o)
		o.Duration = time.Second
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := run(t, o)
		runtime.ReadMemStats(&after)
		if each := float64(after.Mallocs-before.Mallocs) / float64(r.OK); each > 0.1 || r.OK < 1000 {
			t.Errorf("rate %g: %.3f allocations a call, %d calls", rate, each, r.OK)
		}
	}
}

// go test ./bench/load -run '^$' -bench ClosedLoop -count 10 | benchstat -
//
// The server runs in the same process and takes its share.
func BenchmarkClosedLoop(b *testing.B) {
	e := serve(b, "tcp", echo(permitted))
	o := load.Options{Endpoint: e, Calls: calls(b, load.Native, e, true, question(true)), Connections: 64, Duration: time.Second}
	for b.Loop() {
		b.ReportMetric(run(b, o).Rate, "calls/s")
	}
}

func TestTLSIsSpoken(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, permitted) }))
	defer s.Close()
	e, err := load.ParseEndpoint(s.URL)
	if err != nil || !e.Secure {
		t.Fatal(e, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	o := load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: 200, Connections: 2, Duration: 200 * time.Millisecond,
		TLS: &tls.Config{RootCAs: pool, ServerName: "example.com"}}
	if r := run(t, o); r.Asked != 40 || r.OK < 36 {
		t.Errorf("%+v", r)
	}
	o.TLS = &tls.Config{ServerName: "example.com"}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if _, err := load.Run(context.Background(), o); err == nil {
		t.Error("a certificate that nobody signed was taken")
	}
}

func TestEndpointsAreRead(t *testing.T) {
	for _, c := range []struct {
		url    string
		want   load.Endpoint
		target load.Target
	}{
		{"http://localhost", load.Endpoint{Network: "tcp", Address: "localhost:80"}, load.Native},
		{"http://[::1]:8181/v1/data/a/b?x=1", load.Endpoint{Network: "tcp", Address: "[::1]:8181", Path: "/v1/data/a/b?x=1"}, load.OPA},
		{"https://h/access/v1/evaluation", load.Endpoint{Network: "tcp", Address: "h:443", Secure: true, Path: "/access/v1/evaluation"}, load.AuthZEN},
		{"http://h:1/ext_authz/nginx", load.Endpoint{Network: "tcp", Address: "h:1", Path: "/ext_authz/nginx"}, load.HTTP},
		{"unix:///run/s", load.Endpoint{Network: "unix", Address: "/run/s"}, load.Native},
		{"grpc://h:9191", load.Endpoint{Network: "tcp", Address: "h:9191", GRPC: true}, load.GRPC},
		{"grpc+unix:///run/s", load.Endpoint{Network: "unix", Address: "/run/s", GRPC: true}, load.GRPC},
	} {
		got, err := load.ParseEndpoint(c.url)
		if err != nil || got != c.want || load.GuessTarget(got) != c.target {
			t.Errorf("%s: got %+v, %s, %v", c.url, got, load.GuessTarget(got), err)
		}
	}
	for _, bad := range []string{"", "localhost:8181", "ftp://h", "http://", "unix://host/s", "unix://", "grpc://h:1/path", "http://u:p@h", "http://h/#f"} {
		if got, err := load.ParseEndpoint(bad); err == nil {
			t.Errorf("%q: got %+v, expected an error", bad, got)
		}
	}
}

func TestAClosedLoopGoesOnWhereConnectionsAreClosed(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		var n atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%3 == 0 {
				w.Header().Set("Connection", "close")
			}
			fmt.Fprint(w, permitted)
		}))
		defer s.Close()
		e, err := load.ParseEndpoint(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		r := run(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 4, Duration: 500 * time.Millisecond,
			Portable: portable})
		if r.OK < 100 || r.Errors > 0 || r.Reconnects < r.OK/4 {
			t.Errorf("ok %d, errors %v, reconnects %d", r.OK, r.Faults, r.Reconnects)
		}
	})
}
