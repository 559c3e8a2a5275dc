package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"thymus/internal/health"
	"thymus/pdp/engine"
	"thymus/pdp/server"
)

// unplugged is a server behind a listener without sockets.
func unplugged(t testing.TB) (*plane, *fasthttputil.InmemoryListener) {
	t.Helper()
	p := &plane{oracle: &oracle{}, log: &warnings{}}
	p.engine = engine.New(engine.Options{Deadline: 50 * time.Millisecond})
	p.engine.Activate(snapshot(p.oracle))
	var err error
	p.Server, err = server.New(server.Options{Engine: p.engine, Health: health.New(), Log: p.log})
	if err != nil {
		t.Fatal(err)
	}
	ln := fasthttputil.NewInmemoryListener()
	p.ServeOn(ln)
	p.Serve()
	t.Cleanup(func() {
		p.Close()
		p.engine.Close()
	})
	return p, ln
}

// inMemory is such a server and one connection to it.
func inMemory(t testing.TB) (*plane, net.Conn) {
	t.Helper()
	p, ln := unplugged(t)
	c, err := ln.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return p, c
}

// raw turns what send takes into bytes.
func raw(text string) []byte {
	head, body, _ := strings.Cut(text, "\n\n")
	return []byte(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body)
}

// roundTrip writes a request and reads its answer, of which it checks the beginning, without allocating. size is that
// of the answer.
func roundTrip(c net.Conn, request, buf []byte, size int) (string, bool) {
	if _, err := c.Write(request); err != nil {
		return err.Error(), false
	}
	if _, err := io.ReadFull(c, buf[:size]); err != nil {
		return err.Error(), false
	}
	return "", string(buf[:15]) == "HTTP/1.1 200 OK"
}

// sizeOf is the length of the answer to a request; decision ids and dates have always the same.
func sizeOf(t testing.TB, c net.Conn, request []byte) int {
	t.Helper()
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	counted := &counter{r: r}
	resp, err := http.ReadResponse(bufio.NewReaderSize(counted, 16), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	return counted.n
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

const call = `{"agent_id":"ops_agent","agent_role":"operator","action":"read","resource":"production_cluster","environment":{"region":"eu"},"params":{"amount":5000}}`

func TestARequestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, request := range map[string]string{
		"native":      post("/v1/evaluate", "Content-Type: application/json\nX-Request-ID: r-1", call),
		"denied":      post("/v1/evaluate", "Content-Type: application/json", `{"agent_id":"a","action":"no"}`),
		"a batch":     post("/v1/evaluate/batch", "Content-Type: application/json", `{"evaluations":[`+call+`,`+call+`]}`),
		"AuthZEN":     post("/access/v1/evaluation", "Content-Type: application/json", `{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}`),
		"life":        "GET /healthz HTTP/1.1\nHost: x\n\n",
		"readiness":   "GET /readyz HTTP/1.1\nHost: x\n\n",
		"the trace":   post("/v1/evaluate", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", call),
		"its ending?": post("/v1/evaluate", "Connection: keep-alive", call),
	} {
		t.Run(name, func(t *testing.T) {
			_, c := inMemory(t)
			req := raw(request)
			size, buf := sizeOf(t, c, req), make([]byte, 8192)
			for range 100 {
				roundTrip(c, req, buf, size)
			}
			if n := testing.AllocsPerRun(500, func() {
				if why, ok := roundTrip(c, req, buf, size); !ok {
					t.Fatalf("%s %s", why, buf[:size])
				}
			}); n > 0 {
				t.Fatalf("%v allocations a request", n)
			}
		})
	}
}

// One request over a connection in memory, whose evaluator costs next to nothing: what HTTP, decoding, the engine and
// encoding cost together.
//
//	go test -run - -bench InMemory -count 10 ./pdp/server | benchstat -
func BenchmarkInMemory(b *testing.B) {
	_, c := inMemory(b)
	req := raw(post("/v1/evaluate", "Content-Type: application/json", call))
	size, buf := sizeOf(b, c, req), make([]byte, 8192)
	b.ReportAllocs()
	for b.Loop() {
		if why, ok := roundTrip(c, req, buf, size); !ok {
			b.Fatal(why)
		}
	}
}

// The same over loopback with 64 connections, against a fasthttp server that answers the same bytes without looking at
// the request, in alternating rounds of one run. ratio is the throughput as a share of the echo's.
//
//	go test -run - -bench 'Loopback$' -count 10 ./pdp/server | benchstat -
func BenchmarkLoopback(b *testing.B) { againstEcho(b, start(b, nil, nil)) }

func againstEcho(b *testing.B, p *plane) {
	req := raw(post("/v1/evaluate", "Content-Type: application/json", call))
	probe, err := net.Dial("tcp", p.addr)
	if err != nil {
		b.Fatal(err)
	}
	size := sizeOf(b, probe, req)
	_ = probe.Close()
	echo := echoServer(b, p.addr, req)
	ours, floor := newLoad(b, p.addr, req, size), newLoad(b, echo, req, size)
	b.ReportAllocs()
	var took, floorTook time.Duration
	n := 0
	const round = 4096
	for b.Loop() {
		if n++; n%round != 0 {
			continue
		}
		floorTook += floor.run(round)
		took += ours.run(round)
	}
	if took > 0 {
		b.ReportMetric(floorTook.Seconds()/took.Seconds(), "ratio")
		b.ReportMetric(float64(n/round*round)/took.Seconds(), "req/s")
		b.ReportMetric(float64(n/round*round)/floorTook.Seconds(), "echo-req/s")
	}
}

// echoServer answers what the server at addr answers to req.
func echoServer(b *testing.B, addr string, req []byte) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(req); err != nil {
		b.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		b.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.SetContentType("application/json")
		ctx.Response.SetBodyRaw(body)
	}}
	go func() { _ = s.Serve(ln) }()
	b.Cleanup(func() { _ = s.Shutdown() })
	return ln.Addr().String()
}

// load keeps connections busy.
type load struct {
	b     *testing.B
	conns []net.Conn
	req   []byte
	size  int
}

const connections = 64

func newLoad(b *testing.B, addr string, req []byte, size int) *load {
	l := &load{b: b, req: req, size: size}
	for range connections {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		l.conns = append(l.conns, c)
	}
	return l
}

// run sends n requests and says how long it took.
func (l *load) run(n int) time.Duration {
	runtime.GC()
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	begin := time.Now()
	for _, c := range l.conns {
		wg.Go(func() {
			buf := make([]byte, l.size)
			for left.Add(-1) >= 0 {
				if why, ok := roundTrip(c, l.req, buf, l.size); !ok {
					l.b.Error(why)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begin)
}
