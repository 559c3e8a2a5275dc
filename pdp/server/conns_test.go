package server_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/pdp/engine"
	"thymus/pdp/server"
	"thymus/test/harness"
)

func TestRequestsOnOneConnectionAreAnsweredInOrder(t *testing.T) {
	p := start(t, nil, nil)
	w := p.dial(t)
	body := func(a string) string {
		return strings.ReplaceAll(strings.Replace(evaluate(a), "\n\n", "\r\n\r\n", 1), "1.1\nHost: x\nContent-Type: application/json\n", "1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
	}
	if _, err := io.WriteString(w, body("read")+body("no")+"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"+body("read")); err != nil {
		t.Fatal(err)
	}
	for i, has := range []string{`"allowed":true`, `"allowed":false`, `"status":"ok"`, `"allowed":true`} {
		if a := w.answer("POST"); !strings.Contains(a.body, has) {
			t.Fatalf("answer %d: %s", i, a.body)
		}
	}
}

func TestWhoEndsTheConnection(t *testing.T) {
	p := start(t, nil, nil)
	for _, c := range []struct {
		name, head string
		ends       bool
	}{
		{"HTTP/1.1 stays", "GET /healthz HTTP/1.1\nHost: x\n\n", false},
		{"HTTP/1.1 ends when asked to", "GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n", true},
		{"in capitals too", "GET /healthz HTTP/1.1\nHost: x\nConnection: Close\n\n", true},
		{"and in a list", "GET /healthz HTTP/1.1\nHost: x\nConnection: te, close\n\n", true},
		{"HTTP/1.0 ends", "GET /healthz HTTP/1.0\n\n", true},
		{"HTTP/1.0 stays when asked to", "GET /healthz HTTP/1.0\nConnection: keep-alive\n\n", false},
		{"a refused framing ends it", "POST /v1/evaluate HTTP/1.1\nHost: x\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\r\n\r\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := p.dial(t)
			w.send(c.head).answer("GET")
			within := 300 * time.Millisecond // for one that stays
			if c.ends {
				within = soon
			}
			if got := w.ends(within); got != c.ends {
				t.Fatalf("connection ended: %t", got)
			}
		})
	}
}

func TestExpect(t *testing.T) {
	p := start(t, func(o *server.Options, _ *engine.Options) { o.MaxBody = 1000 }, nil)
	t.Run("a body that fits is asked for", func(t *testing.T) {
		w := p.dial(t)
		w.send("POST /v1/evaluate HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: " + itoa(len(good)) + "\n\n")
		line, err := w.r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("%q %v", line, err)
		}
		if _, err := w.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, good)
		if a := w.answer("POST"); a.StatusCode != 200 {
			t.Fatalf("got %d %s", a.StatusCode, a.body)
		}
	})
	t.Run("one that does not is refused before it is sent", func(t *testing.T) {
		w := p.dial(t)
		w.send("POST /v1/evaluate HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 1001\n\n")
		a := w.answer("POST")
		if a.StatusCode != 413 || !strings.Contains(a.body, "at most 1000 bytes") || !w.ends(soon) {
			t.Fatalf("got %d %q", a.StatusCode, a.body)
		}
	})
}

func TestAClientThatSendsTooMuchReadsWhy(t *testing.T) {
	p := start(t, nil, nil)
	for range 5 {
		w := p.dial(t)
		body := bytes.Repeat([]byte("x"), 8<<20)
		_, _ = io.WriteString(w, "POST /v1/evaluate HTTP/1.1\r\nHost: x\r\nContent-Length: "+itoa(len(body))+"\r\n\r\n")
		if n, err := w.Write(body); err != nil {
			t.Fatalf("the connection broke after %d bytes: %v", n, err)
		}
		if a := w.answer("POST"); a.StatusCode != 413 {
			t.Fatalf("got %d", a.StatusCode)
		}
	}
}

// soon bounds waits for what comes at once, or on its own when a timeout has passed, on a machine that is busy.
const soon = 10 * time.Second

func slow(o *server.Options, _ *engine.Options) {
	o.ReadTimeout, o.WriteTimeout, o.IdleTimeout = 300*time.Millisecond, 300*time.Millisecond, 800*time.Millisecond
}

// stillFor is for how long a test of these timeouts bears to be kept from running: they are measured with a clock that
// moves four times in the shortest of them.
const stillFor = 5 * time.Millisecond

func TestARequestThatDoesNotArriveIsGivenUp(t *testing.T) {
	p := start(t, slow, nil)
	for name, half := range map[string]string{
		"in the request line": "POST /v1/eva",
		"in the headers":      "POST /v1/evaluate HTTP/1.1\r\nHost: x\r\n",
		"in the body":         "POST /v1/evaluate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"in a chunk":          "POST /v1/evaluate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			harness.Steady(t, stillFor, func(t testing.TB) {
				w := p.dial(t)
				begin := time.Now()
				_, _ = io.WriteString(w, half)
				a := w.answer("POST")
				if a.StatusCode != 408 || a.Header.Get("Content-Type") != "application/problem+json" || !w.ends(2*time.Second) {
					t.Fatalf("got %d %s", a.StatusCode, a.body)
				}
				if took := time.Since(begin); took < 200*time.Millisecond || took > 5*time.Second {
					t.Fatalf("after %s", took)
				}
			})
		})
	}
	t.Run("a byte at a time buys no time", func(t *testing.T) {
		w := p.dial(t)
		begin := time.Now()
		for i := 0; time.Since(begin) < 3*time.Second; i++ {
			if _, err := io.WriteString(w, "POST / HTTP/1.1\r\nHost: "[min(i, 20):min(i, 20)+1]); err != nil {
				return
			}
			if w.ends(20 * time.Millisecond) {
				return
			}
			if a, err := w.tryAnswer("POST"); err == nil && a.StatusCode == 408 {
				return
			}
			_ = w.SetDeadline(time.Now().Add(20 * time.Second))
		}
		t.Fatal("still open")
	})
}

func TestAnIdleConnectionEndsWithoutAWord(t *testing.T) {
	p := start(t, slow, nil)
	for name, before := range map[string]string{"before its first request": "", "between two": "GET /healthz HTTP/1.1\nHost: x\n\n"} {
		t.Run(name, func(t *testing.T) {
			harness.Steady(t, stillFor, func(t testing.TB) {
				w := p.dial(t)
				if before != "" {
					w.send(before).answer("GET")
				}
				begin := time.Now()
				b, err := io.ReadAll(w.r)
				if len(b) > 0 || err != nil && !errors.Is(err, io.EOF) {
					t.Fatalf("%q %v", b, err)
				}
				if took := time.Since(begin); took < 600*time.Millisecond || took > 5*time.Second {
					t.Fatalf("after %s", took)
				}
			})
		})
	}
}

func TestAClientThatDoesNotReadIsGivenUp(t *testing.T) {
	p := start(t, slow, nil)
	w := p.dial(t)
	if tc, ok := w.Conn.(*net.TCPConn); ok {
		_ = tc.SetReadBuffer(4096)
	}
	go func() {
		one := "GET /v1/data/big HTTP/1.1\r\nHost: x\r\n\r\n"
		for {
			if _, err := io.WriteString(w, strings.Repeat(one, 100)); err != nil {
				return
			}
		}
	}()
	eventually(t, "the connection is given up", func() bool { return p.Counts().Connections == 1 && p.Connections() == 0 })
}

func TestAtTheLimitIdleConnectionsMakePlace(t *testing.T) {
	p := start(t, func(o *server.Options, _ *engine.Options) { o.MaxConnections = 50 }, nil)
	first := p.dial(t)
	first.send("GET /healthz HTTP/1.1\nHost: x\n\n").answer("GET")
	for range 200 {
		w := p.dial(t)
		if a := w.send("GET /healthz HTTP/1.1\nHost: x\n\n").answer("GET"); a.StatusCode != 200 {
			t.Fatalf("got %d", a.StatusCode)
		}
	}
	if n := p.Connections(); n > 50 {
		t.Fatalf("%d connections are open", n)
	}
	if !first.ends(soon) {
		t.Fatal("the oldest idle connection is still open")
	}
}

func TestAtTheLimitBusyConnectionsAreLeftAlone(t *testing.T) {
	p := start(t, func(o *server.Options, _ *engine.Options) { o.MaxConnections = 4 }, nil)
	var busy []*line
	for range 4 {
		busy = append(busy, p.dial(t).send(evaluate("wait")))
		<-p.oracle.entered
	}
	a := p.dial(t).answer("GET")
	if a.StatusCode != 503 || a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("Retry-After") == "" {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	if p.Counts().Refused != 1 {
		t.Fatalf("%d refusals counted", p.Counts().Refused)
	}
	close(p.oracle.release)
	for _, w := range busy {
		if a := w.answer("POST"); a.StatusCode != 200 {
			t.Fatalf("a busy connection got %d", a.StatusCode)
		}
	}
}

func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	harness.Steady(t, 50*time.Millisecond, func(t testing.TB) {
		p := start(t, nil, nil)
		silent, idle := p.dial(t), p.dial(t)
		idle.send("GET /healthz HTTP/1.1\nHost: x\n\n").answer("GET")
		busy := p.dial(t).send(evaluate("wait"))
		<-p.oracle.entered
		drained := make(chan error, 1)
		begin := time.Now()
		go func() { drained <- p.drain(8 * time.Second) }()
		if !idle.ends(soon) || !silent.ends(soon) {
			t.Fatal("an idle connection holds on")
		}
		if c, err := net.Dial("tcp", p.addr); err == nil {
			_ = c.Close()
			t.Fatal("the listener still accepts")
		}
		select {
		case err := <-drained:
			t.Fatalf("drained before the request was answered: %v", err)
		default:
		}
		close(p.oracle.release)
		a := busy.answer("POST")
		if a.StatusCode != 200 || !a.Close {
			t.Fatalf("in flight: %d, close %t", a.StatusCode, a.Close)
		}
		if err := <-drained; err != nil || time.Since(begin) > 3*time.Second {
			t.Fatalf("%v after %s", err, time.Since(begin))
		}
	})
}

func TestDrainGivesUpInTime(t *testing.T) {
	harness.Steady(t, 50*time.Millisecond, func(t testing.TB) {
		p := start(t, nil, nil)
		p.dial(t).send(evaluate("wait"))
		<-p.oracle.entered
		half := p.dial(t)
		_, _ = io.WriteString(half, "POST /v1/evaluate HTTP/1.1\r\n")
		eventually(t, "both are open", func() bool { return p.Connections() == 2 })
		begin := time.Now()
		err := p.drain(300 * time.Millisecond)
		close(p.oracle.release)
		if !errors.Is(err, server.ErrCut) || time.Since(begin) > 2*time.Second {
			t.Fatalf("%v after %s", err, time.Since(begin))
		}
	})
}

// A client that is kept from running for longer than a drain waits for the next request loses that.
func TestAKeepAliveClientLosesNothingToADrain(t *testing.T) {
	for range 20 {
		harness.Steady(t, 100*time.Millisecond, func(t testing.TB) {
			p := start(t, nil, nil)
			stop, failed := make(chan struct{}), make(chan error, 1)
			ready := make(chan struct{})
			go func() {
				defer close(failed)
				w := p.dial(t)
				for i := 0; ; i++ {
					if i == 10 {
						close(ready)
					}
					a, err := w.send(evaluate("read")).tryAnswer("POST")
					if err != nil {
						failed <- err
						return
					}
					if a.Close {
						return // told that the connection ends: nothing is lost
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			}()
			<-ready
			if err := p.drain(5 * time.Second); err != nil {
				t.Fatal(err)
			}
			close(stop)
			if err := <-failed; err != nil {
				t.Fatalf("a request was lost: %v", err)
			}
		})
	}
}

func TestUnixSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	var rec recorder
	p := start(t, func(_ *server.Options, o *engine.Options) { o.Recorder = &rec }, nil)
	other, err := server.New(server.Options{Engine: p.engine, Health: p.health, Log: p.log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	if err := other.ListenUnix(server.UnixOptions{Path: path, Mode: 0o620, UIDs: []uint32{uint32(os.Getuid())}}); err != nil {
		t.Fatal(err)
	}
	other.Serve()
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o620 || fi.Mode()&os.ModeSocket == 0 {
		t.Fatalf("%v %v", fi.Mode(), err)
	}
	dial := func() *line {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return newLine(t, c)
	}
	if a := dial().send(evaluate("read")).answer("POST"); a.StatusCode != 200 {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	t.Run("a live socket is not replaced", func(t *testing.T) {
		if err := p.ListenUnix(server.UnixOptions{Path: path, Mode: 0o600}); err == nil || !strings.Contains(err.Error(), "another process answers on it") {
			t.Fatalf("%v", err)
		}
	})
	t.Run("a peer of another uid is closed unanswered", func(t *testing.T) {
		strict, err := server.New(server.Options{Engine: p.engine, Health: p.health, Log: p.log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(strict.Close)
		path := filepath.Join(dir, "t")
		if err := strict.ListenUnix(server.UnixOptions{Path: path, Mode: 0o600, UIDs: []uint32{uint32(os.Getuid()) + 1}}); err != nil {
			t.Fatal(err)
		}
		strict.Serve()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		w := newLine(t, c)
		_, _ = io.WriteString(w, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		b, _ := io.ReadAll(w.r)
		if len(b) > 0 {
			t.Fatalf("answered %q", b)
		}
		eventually(t, "the stranger is counted", func() bool { return strict.Counts().Strangers == 1 })
	})
	t.Run("closing removes the file", func(t *testing.T) {
		other.Close()
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%v", err)
		}
	})
}

func TestGzipBothWays(t *testing.T) {
	p := start(t, func(o *server.Options, _ *engine.Options) { o.MaxBody = 64 << 10 }, nil)
	pack := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, s)
		_ = z.Close()
		return b.String()
	}
	w := p.dial(t)
	if a := w.send(post("/v1/data/input", "Content-Encoding: gzip", pack(`{"input":{"a":"b"}}`))).answer("POST"); a.StatusCode != 200 || !strings.Contains(a.body, `{"a":"b"}`) {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	bomb := pack(`{"input":"` + strings.Repeat("x", 10<<20) + `"}`)
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb has %d bytes, so the limit on the body meets it first", len(bomb))
	}
	if a := w.send(post("/v1/data/input", "Content-Encoding: gzip", bomb)).answer("POST"); a.StatusCode != 413 || !strings.Contains(a.body, `"code"`) {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	for _, c := range []struct {
		accept, target string
		packed         bool
	}{
		{"gzip", "/v1/data/big", true}, {"br, *;q=0.5", "/v1/data/big", true}, {"gzip;q=0, *", "/v1/data/big", false},
		{"identity", "/v1/data/big", false}, {"gzip", "/v1/data/allow", false},
	} {
		a := w.send("GET " + c.target + " HTTP/1.1\nHost: x\nAccept-Encoding: " + c.accept + "\n\n").answer("GET")
		body := a.body
		if got := a.Header.Get("Content-Encoding") == "gzip"; got != c.packed {
			t.Fatalf("%q: packed %t", c.accept, got)
		}
		if c.packed {
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			body = string(b)
		}
		if !strings.HasPrefix(body, `{"result":`) {
			t.Fatalf("%q: %.80s", c.accept, body)
		}
	}
}

func TestTLSPeersAreNamedByTheirCertificate(t *testing.T) {
	ca := harness.NewAuthority(t, "test authority")
	pool := ca.Pool()
	secure := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.Issue(harness.Subject{DNS: "localhost"})},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	p := start(t, nil, secure)
	for _, c := range []struct {
		name string
		as   harness.Subject
		want string
	}{
		{"by its SPIFFE id", harness.Subject{CN: "cn", DNS: "d.example", URI: "spiffe://prod/agent"}, "spiffe://prod/agent"},
		{"by its DNS name", harness.Subject{CN: "cn", DNS: "d.example", URI: "https://x.example"}, "d.example"},
		{"by its common name", harness.Subject{CN: "cn"}, "cn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", p.addr, &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{ca.Issue(c.as)}})
			if err != nil {
				t.Fatal(err)
			}
			w := newLine(t, conn)
			for range 2 {
				a := w.send(evaluate("peer:" + c.want)).answer("POST")
				if a.StatusCode != 200 || !strings.Contains(a.body, `"allowed":true`) {
					t.Fatalf("got %d %s", a.StatusCode, a.body)
				}
			}
		})
	}
	t.Run("without a certificate there is no answer", func(t *testing.T) {
		conn, err := tls.Dial("tcp", p.addr, &tls.Config{RootCAs: pool, ServerName: "localhost"})
		if err != nil {
			return
		}
		w := newLine(t, conn)
		_, _ = io.WriteString(w, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		if b, err := io.ReadAll(w.r); err == nil || len(b) > 0 {
			t.Fatalf("answered %q", b)
		}
	})
	t.Run("a handshake that does not come is given up with the connection", func(t *testing.T) {
		q := start(t, slow, secure)
		w := q.dial(t)
		_, _ = w.Write([]byte{0x16, 0x03})
		if !w.ends(soon) {
			t.Fatal("still open")
		}
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, what, ok)
}
