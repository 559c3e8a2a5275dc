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

	"thymus/bench/load"
)

func TestAnOpenLoopAsksWhatItsScheduleSays(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := serve(t, "tcp", echo(permitted))
		r := whole(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: 2000, Connections: 8,
			Warmup: 100 * time.Millisecond, Duration: 500 * time.Millisecond, Portable: portable})
		if r.Asked != 1000 || r.OK != r.Asked {
			t.Errorf("asked %d, ok %d, expected 1000 of each; %+v", r.Asked, r.OK, r.Faults)
		}
		if r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P99 {
			t.Errorf("latency %+v makes no sense", r.Latency)
		}
	})
}

// TestAClosedLoopKeepsEachConnectionBusy asks a server that answers nobody until all connections ask, again and again:
// one that were left idle would leave the others without an answer.
func TestAClosedLoopKeepsEachConnectionBusy(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		const connections, times = 8, 50
		var mu sync.Mutex
		asking, full, all := 0, 0, make(chan struct{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		e := serve(t, "tcp", func(c *fasthttp.RequestCtx) {
			mu.Lock()
			mine := all
			if full == times { // it is shown: the rest need not wait for each other
				mine = nil
			} else if asking++; asking == connections {
				close(all)
				asking, all, mine = 0, make(chan struct{}), nil
				if full++; full == times {
					cancel()
				}
			}
			mu.Unlock()
			if mine != nil {
				select {
				case <-mine:
				case <-ctx.Done():
				}
			}
			c.Response.SetBodyString(permitted)
		})
		r, err := load.Run(ctx, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: connections,
			Duration: time.Hour, Timeout: 2 * time.Minute, Portable: portable})
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		// Those that are under way when the run is told to end may stay unanswered.
		if full != times || r.Asked != r.Sent || !r.Settled() || r.Sent < connections*times || r.OK+connections < r.Sent || r.Wrong > 0 {
			t.Errorf("all %d connections asked at once %d times of %d, sent %d, ok %d, errors %v", connections, full, times, r.Sent, r.OK, r.Faults)
		}
	})
}

func TestAUnixSocketIsAsked(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := serve(t, "unix", echo(permitted))
		r := enough(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 4,
			Duration: 100 * time.Millisecond, Portable: portable}, 1)
		if r.OK != r.Sent {
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
			r := whole(t, load.Options{Endpoint: e, Target: c.target, Calls: calls(t, c.target, e, true, question(c.allow)), Connections: 1,
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
		r := whole(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 2, Rate: 200,
			Duration: time.Second, Portable: portable}, func() { n.Store(0) })
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
			Duration: time.Second, Timeout: 200 * time.Millisecond, Portable: portable})
		// Two connections have room for six calls each before the end, and of a machine that stands still for at least one.
		if r.Asked != 100 || r.OK != 0 || r.Errors != r.Faults["timeout"] || r.Errors < 2 || r.Unsent < 88 {
			t.Errorf("%+v: expected 100 asked, none answered, most never sent", r)
		}
		if r.Latency.P50 < 200 || r.Latency.Max < 900 {
			t.Errorf("latencies %+v hide that nobody was answered", r.Latency)
		}
	})
}

// TestAServerThatGoesAwayIsNotedAndAskedAgain takes a socket rather than a port, which somebody else might be given
// meanwhile.
func TestAServerThatGoesAwayIsNotedAndAskedAgain(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		addr := filepath.Join(t.TempDir(), "s")
		e := load.Endpoint{Network: "unix", Address: addr}
		const away = 1200 * time.Millisecond
		const connections, before, enough = 4, 50, 50
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var answered [2]atomic.Int64
		asked := make(chan struct{})
		begin := func(i int) *fasthttp.Server {
			l, err := net.Listen("unix", addr)
			if err != nil {
				t.Error(err)
				cancel()
				return nil
			}
			s := &fasthttp.Server{CloseOnShutdown: true, Logger: quiet{}, Handler: func(c *fasthttp.RequestCtx) {
				c.Response.SetBodyString(permitted)
				switch n := answered[i].Add(1); {
				case i == 0 && n == before:
					close(asked)
				case i == 1 && n == enough:
					cancel()
				}
			}}
			go s.Serve(l)
			return s
		}
		first := begin(0)
		var second *fasthttp.Server
		var wg sync.WaitGroup
		wg.Go(func() {
			select {
			case <-asked: // in the middle of the run
			case <-ctx.Done():
			}
			first.Shutdown()
			time.Sleep(away) // nobody is there for a while, longer than a machine stands still
			second = begin(1)
		})
		r, err := load.Run(ctx, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: connections, Rate: 1000,
			Duration: time.Hour, Portable: portable})
		wg.Wait()
		if second != nil {
			second.Shutdown()
		}
		if err != nil {
			t.Fatal(err)
		}
		// The event loop lets calls wait for a connection, goroutines let each fail that finds none.
		shows := r.Latency.Max >= 900
		if portable {
			shows = r.Faults["transport"] > connections
		}
		if !shows || !r.Settled() || r.ConnectFailures == 0 || r.OK+2*connections < before+enough || answered[1].Load() < enough {
			t.Errorf("ok %d, of the second server %d, errors %v, connect failures %d, max %.0f ms: the gap does not show",
				r.OK, answered[1].Load(), r.Faults, r.ConnectFailures, r.Latency.Max)
		}
	})
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
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		const enough = 50
		var answered atomic.Int64
		e := serve(t, "tcp", func(c *fasthttp.RequestCtx) {
			c.Response.SetBodyString(permitted)
			if answered.Add(1) == enough {
				cancel()
			}
		})
		const rate, connections = 1000, 2
		began := time.Now()
		r, err := load.Run(ctx, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: rate, Connections: connections,
			Duration: time.Hour, Portable: portable})
		if err != nil {
			t.Fatal(err)
		}
		// What was due by the end counts as asked, and nothing of the hour that is left.
		if took := time.Since(began); r.OK+connections < enough || float64(r.Asked) > rate*took.Seconds()+1 || !r.Settled() {
			t.Errorf("took %s, %+v", took, r)
		}
	})
}

// TestAskingAllocatesNothing counts what the whole process allocates, the server included, whose answers allocate nothing
// either. Calls enough that what a run itself takes does not count.
func TestAskingAllocatesNothing(t *testing.T) {
	for _, rate := range []float64{0, 20_000} {
		e := serve(t, "tcp", echo(permitted))
		o := load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: rate, Connections: 16, Duration: 200 * time.Millisecond}
		run(t, o)
		o.Duration = time.Second
		for each := 1.0; each > 0.1; o.Duration *= 2 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := run(t, o)
			runtime.ReadMemStats(&after)
			each = float64(after.Mallocs-before.Mallocs) / float64(max(r.OK, 1))
			if each > 0.1 && (r.OK > 10_000 || o.Duration > 10*time.Second) {
				t.Fatalf("rate %g: %.3f allocations a call, %d calls", rate, each, r.OK)
			}
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
	if r := whole(t, o); r.Asked != 40 || r.OK != 40 {
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
		r := enough(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 4, Duration: 500 * time.Millisecond,
			Portable: portable}, 100)
		if r.Errors > 0 || r.Reconnects < r.OK/4 {
			t.Errorf("ok %d, errors %v, reconnects %d", r.OK, r.Faults, r.Reconnects)
		}
	})
}
