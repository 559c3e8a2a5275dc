package extauthz_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	gzipcodec "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"thymus/pdp"
	"thymus/pdp/extauthz"
	"thymus/test/harness"
)

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// httpOf wraps the fields of an HttpRequest to a CheckRequest.
func httpOf(fields []byte) []byte {
	b := fields
	for _, num := range []protowire.Number{2, 4, 1} { // http, request, attributes
		b = protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
	}
	return b
}

func field(num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), s)
}

func entry(key, value string) []byte {
	return field(3, string(append(field(1, key), field(2, value)...)))
}

func TestOnTheWireWhateverIsWrongIsADenialAndNoGRPCError(t *testing.T) {
	const limit = 256 << 10
	r := start(t, "package policies.p\nallow contains \"all\"\n", options(func(x *extauthz.Options) { x.MaxBody = limit }))
	good := wireOf(t, get("/x"))
	get := append(field(2, "GET"), field(4, "/x")...)
	large := wireOf(t, post("/x", "text/plain", strings.Repeat("x", 2*limit)))
	for _, c := range []struct {
		name   string
		body   []byte
		coding string
		permit bool
		reason string // of the event; empty: there is none
	}{
		{"nothing wrong", framed(0, good), "", true, "Allowed by rule 'all'"},
		{"nothing wrong, compressed", framed(1, zipped(good)), "gzip", true, "Allowed by rule 'all'"},
		{"nothing wrong, the encoding named and not used", framed(0, good), "gzip", true, "Allowed by rule 'all'"},
		{"no message", nil, "", false, ""},
		{"an empty message", framed(0, nil), "", false, ""},
		{"a message cut in its length", framed(0, good)[:3], "", false, ""},
		{"a message cut short", framed(0, good)[:40], "", false, ""},
		{"two messages", append(framed(0, good), framed(0, good)...), "", false, ""},
		{"bytes behind the message", append(framed(0, good), 0), "", false, ""},
		{"garbage", framed(0, []byte("\xff\xfe\x00garbage\x80\x80\x80")), "", false, ""},
		{"a text", framed(0, []byte(`{"attributes":{}}`)), "", false, ""},
		{"a field without its end", framed(0, []byte{0x0a, 0x7f, 0x22}), "", false, ""},
		{"a length of 2^63", framed(0, append([]byte{0x0a}, bytes.Repeat([]byte{0xff}, 9)...)), "", false, ""},
		{"no attributes", framed(0, wireOf(t, &auth.CheckRequest{})), "", false, ""},
		{"no request", framed(0, wireOf(t, &auth.CheckRequest{Attributes: &auth.AttributeContext{}})), "", false, ""},
		{"no http", framed(0, wireOf(t, &auth.CheckRequest{Attributes: &auth.AttributeContext{Request: &auth.AttributeContext_Request{}}})), "", false, ""},
		{"no source", framed(0, httpOf(get)), "", true, "Allowed by rule 'all'"},
		{"no UTF-8 in a header", framed(0, httpOf(append(bytes.Clone(get), entry("x-a", "\xc3\x28")...))), "", false, "Evaluation error - denied: the call cannot be read"},
		{"no UTF-8 in a header's name", framed(0, httpOf(append(bytes.Clone(get), entry("x-\xff", "a")...))), "", false, "Evaluation error - denied: the call cannot be read"},
		{"no UTF-8 in the path", framed(0, httpOf(append(field(2, "GET"), field(4, "/\xff")...))), "", false, "Evaluation error - denied: the call cannot be read"},
		{"no UTF-8 in the method", framed(0, httpOf(append(field(2, "\xff"), field(4, "/x")...))), "", false, ""},
		{"a header twice in the map", framed(0, httpOf(append(bytes.Clone(get), append(entry("x-a", "1"), entry("x-a", "2")...)...))), "", false, "Evaluation error - denied: the call cannot be read"},
		{"a second path", framed(0, httpOf(append(bytes.Clone(get), field(4, "/other")...))), "", false, "Evaluation error - denied: the call cannot be read"},
		{"a message beyond max_body", framed(0, large), "", false, "Evaluation error - denied: the call is larger than extauthz.max_body"},
		{"one that is small only while compressed", framed(1, zipped(large)), "gzip", false, "Evaluation error - denied: the call is larger than extauthz.max_body"},
		{"a compressed message cut short", framed(1, zipped(good)[:20]), "gzip", false, ""},
		{"a compressed message that is none", framed(1, []byte("no gzip at all")), "gzip", false, ""},
		{"a compressed message without its encoding", framed(1, zipped(good)), "", false, ""},
		{"a compressed message said to be identity", framed(1, zipped(good)), "identity", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dialRaw(t, r.addr)
			conn.t = t
			var more []string
			if c.coding != "" {
				more = []string{"grpc-encoding", c.coding}
			}
			s := conn.begin(false, more...)
			got := conn.answer(s, bytesOf(c.body))
			if c.coding == "gzip" { // the answer is compressed too: its status is what can be seen here
				if got.status != 0 || got.reset || got.resp == nil {
					t.Fatalf("%+v", got)
				}
			} else if got.status != 0 || got.reset || got.resp == nil || allowed(got.resp) != c.permit || denied(got.resp) == c.permit {
				t.Fatalf("%+v", got)
			}
			select {
			case rec := <-r.rec.ch:
				if rec.Reason != c.reason || rec.Flags.Has(pdp.FlagAllowed) != c.permit {
					t.Fatalf("the event says %q, want %q", rec.Reason, c.reason)
				}
			default:
				if c.reason != "" {
					t.Fatal("no event")
				}
			}
		})
	}
}

// What cannot be a denial, because grpc-go answers before any handler is asked. No proxy does it.
func TestTheGRPCErrorsThatAreLeft(t *testing.T) {
	r := start(t, byAction)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, method := range []string{"/envoy.service.auth.v3.Authorization/Other", "/envoy.service.auth.v2.Authorization/Check",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"} {
		if err := r.conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", method, err)
		}
	}
	conn := dialRaw(t, r.addr)
	s := conn.begin(false, "grpc-encoding", "zstd")
	_ = conn.send(s, framed(1, []byte("x")), true)
	if got := conn.answer(s, nil); got.status != int(codes.Unimplemented) {
		t.Errorf("an encoding that nobody knows: %+v", got)
	}
}

// heap samples how much memory is in use, and returns the most that was on top of the beginning.
func heap() (most func() uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base, top := m.HeapAlloc, uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(5 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				runtime.ReadMemStats(&m)
				top = max(top, m.HeapAlloc-min(base, m.HeapAlloc))
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return top
	}
}

func TestLargeCallsCostNoMoreMemoryThanTheLimit(t *testing.T) {
	const limit, size, streams = 1 << 20, 48 << 20, 8
	r := start(t, byAction, options(func(x *extauthz.Options) { x.MaxBody = limit }))
	most := heap()
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() {
			conn := dialRaw(t, r.addr)
			s := conn.begin(false)
			head := append(binary.BigEndian.AppendUint32([]byte{0}, size), httpOf(append(field(2, "GET"), field(4, "/x")...))...)
			page, left := make([]byte, 16<<10), 5+size
			first := true
			next := func(n int) ([]byte, bool) {
				b := page[:min(n, left)]
				if left -= len(b); first {
					first = false
					return append(head, b[len(head):]...), false
				}
				return b, left == 0
			}
			if got := conn.answer(s, next); got.status != 0 || got.resp == nil || !denied(got.resp) {
				t.Errorf("%+v", got)
			}
		})
	}
	wg.Wait()
	top := most()
	t.Logf("%d calls of %d MiB at once: %d MiB at most", streams, size>>20, top>>20)
	if top > streams*8*limit {
		t.Errorf("%d MiB of memory for %d calls of %d MiB, of which %d MiB are kept", top>>20, streams, size>>20, limit>>20)
	}
}

func TestABombIsNotInflated(t *testing.T) {
	r := start(t, byAction, options(func(x *extauthz.Options) { x.MaxBody = 1 << 20 }))
	bomb := zipped(append(httpOf(append(field(2, "GET"), field(4, "/x")...)), make([]byte, 96<<20)...))
	if len(bomb) > 1<<20 {
		t.Fatalf("%d bytes are no bomb", len(bomb))
	}
	most := heap()
	conn := dialRaw(t, r.addr)
	for range 8 {
		s := conn.begin(false, "grpc-encoding", "gzip")
		if got := conn.answer(s, bytesOf(framed(1, bomb))); got.status != 0 || got.resp == nil {
			t.Fatalf("%+v", got)
		}
	}
	if top := most(); top > 32<<20 {
		t.Errorf("%d MiB of memory", top>>20)
	}
}

func TestBeyondAllLimitsTheAnswerIsADenialStill(t *testing.T) {
	r := start(t, byAction, options(func(x *extauthz.Options) { x.MaxBody = 64 << 10 }))
	conn := dialRaw(t, r.addr)
	s := conn.begin(false)
	head := append([]byte{0, 0xff, 0xff, 0xff, 0xff}, httpOf(append(field(2, "GET"), field(4, "/x")...))...)
	sent, page := 0, make([]byte, 16<<10)
	got := conn.answer(s, func(n int) ([]byte, bool) { // four gigabytes were promised; the answer comes after the limit
		b := page[:n]
		if sent += n; sent == n {
			b = append(head, b[len(head):]...)
		}
		return b, false
	})
	if sent > 1<<20 {
		t.Errorf("%d bytes were asked for", sent)
	}
	if got.status != 0 || got.resp == nil || !denied(got.resp) {
		t.Fatalf("%+v", got)
	}
	if rec := <-r.rec.ch; rec.Reason != "Evaluation error - denied: the call is larger than extauthz.max_body" || rec.Action != "GET" {
		t.Fatalf("%q %q", rec.Reason, rec.Action)
	}
}

func TestFiveHundredCallsAtOnceGetTheirOwnAnswers(t *testing.T) {
	for _, connections := range []int{1, 50} {
		r := start(t, byAction)
		clients := make([]auth.AuthorizationClient, connections)
		for i := range clients {
			_, clients[i] = dial(t, r.addr)
		}
		before := runtime.NumGoroutine()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		var wg sync.WaitGroup
		for i := range 500 {
			wg.Go(func() {
				for range 4 {
					path, permit := "/shop", true
					if i%2 > 0 {
						path, permit = "/secret/x", false
					}
					resp, err := clients[i%connections].Check(ctx, get(path))
					if err != nil || allowed(resp) != permit || denied(resp) == permit {
						t.Errorf("%d: %v %v", i, resp, err)
						return
					}
				}
			})
		}
		wg.Wait()
		cancel()
		// An answer is on its way before its call has ended.
		harness.Eventually(t, 10*time.Second, "no call is under way", func() bool { return extauthz.Calls(r.mesh) == 0 })
		harness.Eventually(t, 10*time.Second, fmt.Sprintf("what is left after 500 calls are the goroutines of %d connections", connections),
			func() bool { return runtime.NumGoroutine()-before <= 8*connections+16 })
	}
}

func TestBeyondTheCallsOfAllConnectionsADenialComesUnread(t *testing.T) {
	r := start(t, byAction)
	done := extauthz.Busy(r.mesh)
	if d := r.check(get("/shop")); !denied(d) {
		t.Errorf("%v", d)
	}
	done()
	if d := r.check(get("/shop")); !allowed(d) {
		t.Errorf("%v", d)
	}
}

func TestAClientThatNeverReadsHoldsNobodyUp(t *testing.T) {
	r := start(t, byAction)
	before := runtime.NumGoroutine()
	message := framed(0, wireOf(t, get("/shop")))
	conn := dialRaw(t, r.addr)
	_ = conn.nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	_ = conn.nc.SetWriteDeadline(time.Now().Add(2 * time.Second))
	most := heap()
	sent := 0
	for ; sent < 20000; sent++ {
		if conn.send(conn.begin(false), message, true) != nil {
			break // the server has stopped reading, too
		}
	}
	top := most()
	t.Logf("%d calls sent without reading, %d MiB of memory", sent, top>>20)
	if top > 64<<20 {
		t.Errorf("%d MiB of memory", top>>20)
	}
	for range 20 {
		if !allowed(r.check(get("/shop"))) {
			t.Fatal("denied")
		}
	}
	if n := runtime.NumGoroutine() - before; n > 1100 {
		t.Errorf("%d goroutines for one connection", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := r.mesh.Drain(ctx); err != nil && !errors.Is(err, extauthz.ErrCut) {
		t.Fatal(err)
	}
}

func TestACallThatNeverEndsArrivingEndsItsConnectionAlone(t *testing.T) {
	r := start(t, byAction)
	message := framed(0, wireOf(t, get("/shop")))
	slow := dialRaw(t, r.addr)
	s := slow.begin(false)
	_ = slow.send(s, message[:7], false)
	for extauthz.Calls(r.mesh) != 1 {
		runtime.Gosched()
	}
	idle := dialRaw(t, r.addr)
	first := idle.begin(false)
	_ = idle.send(first, message, true)
	if got := idle.answer(first, nil); got.resp == nil || !allowed(got.resp) {
		t.Fatalf("%+v", got)
	}
	for extauthz.Calls(r.mesh) != 1 {
		runtime.Gosched()
	}
	extauthz.Sweep(r.mesh, time.Now().Add(15*time.Second))
	_ = slow.send(s, message[7:8], false)
	if n := r.mesh.Counts().Stalled; n != 0 {
		t.Fatalf("%d connections ended too early", n)
	}
	extauthz.Sweep(r.mesh, time.Now().Add(25*time.Second))
	if n := r.mesh.Counts().Stalled; n != 1 {
		t.Fatalf("%d connections ended", n)
	}
	_ = slow.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, slow.nc); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	s = idle.begin(false)
	_ = idle.send(s, message, true)
	if got := idle.answer(s, nil); got.resp == nil || !allowed(got.resp) {
		t.Fatalf("an idle connection: %+v", got)
	}
}

func TestAFloodOfConnectionsIsBounded(t *testing.T) {
	const most = 8
	r := start(t, byAction, options(func(x *extauthz.Options) { x.MaxConnections = most }))
	if !allowed(r.check(get("/x"))) {
		t.Fatal("denied")
	}
	before := runtime.NumGoroutine()
	var ncs []net.Conn
	for range 200 {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		ncs = append(ncs, nc)
	}
	for r.mesh.Counts().Refused != 200-most+1 {
		runtime.Gosched()
	}
	harness.Eventually(t, 10*time.Second, fmt.Sprintf("at most %d goroutines more", 4*most), func() bool { return runtime.NumGoroutine()-before <= 4*most })
	if !allowed(r.check(get("/x"))) {
		t.Error("who was there before is not answered")
	}
	for _, nc := range ncs {
		_ = nc.Close()
	}
	_, client := dial(t, r.addr)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if d, err := client.Check(ctx, get("/x"), grpc.WaitForReady(true)); err != nil || !allowed(d) {
		t.Errorf("after the flood: %v %v", d, err)
	}
}

func TestADrainLetsCallsInFlightEnd(t *testing.T) {
	r := start(t, byAction)
	message := framed(0, wireOf(t, get("/shop")))
	conn := dialRaw(t, r.addr)
	s := conn.begin(false)
	_ = conn.send(s, message[:9], false)
	for extauthz.Calls(r.mesh) != 1 {
		runtime.Gosched()
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	go func() { ended <- r.mesh.Drain(ctx) }()
	for {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			break // the listener is closed
		}
		_ = nc.Close()
	}
	_ = conn.send(s, message[9:], true)
	conn.ignoreGoAway = true
	if got := conn.answer(s, nil); got.resp == nil || !allowed(got.resp) {
		t.Fatalf("%+v", got)
	}
	_ = conn.nc.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestADrainCutsWhatDoesNotEnd(t *testing.T) {
	r := start(t, byAction)
	conn := dialRaw(t, r.addr)
	_ = conn.send(conn.begin(false), []byte{0, 0, 0, 1, 0, 9}, false)
	for extauthz.Calls(r.mesh) != 1 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := r.mesh.Drain(ctx); !errors.Is(err, extauthz.ErrCut) {
		t.Fatal(err)
	}
}

func TestACompressedCallOfAClientIsAnswered(t *testing.T) {
	r := start(t, byAction, options(func(x *extauthz.Options) { x.MaxBody = 64 << 10 }))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for path, permit := range map[string]bool{"/shop": true, "/secret/x": false} {
		if d, err := r.client.Check(ctx, get(path), grpc.UseCompressor(gzipcodec.Name)); err != nil || allowed(d) != permit || denied(d) == permit {
			t.Errorf("%s: %v %v", path, d, err)
		}
	}
	if d, err := r.client.Check(ctx, post("/shop", "text/plain", strings.Repeat("x", 1<<20)), grpc.UseCompressor(gzipcodec.Name)); err != nil || !denied(d) {
		t.Errorf("large: %v %v", d, err)
	}
}
