package extauthz_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"thymus/internal/health"
	"thymus/pdp/extauthz"
	"thymus/pdp/server"
)

// plane puts the Mesh behind a real data plane, and returns its address.
func (r *rig) plane(t testing.TB, set func(*server.Options)) string {
	t.Helper()
	o := server.Options{Engine: r.engine, Health: health.New(), Log: logs{t}, Mesh: r.mesh}
	if set != nil {
		set(&o)
	}
	s, err := server.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	a, err := s.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve()
	return a.String()
}

// exchange sends bytes and reads one final answer; interim says which came before.
func exchange(t testing.TB, addr, request string) (status int, body string, interim int) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(nc, request) }()
	br := bufio.NewReader(nc)
	for {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("%.60q: %v", request, err)
		}
		if resp.StatusCode == http.StatusContinue {
			interim++
			continue
		}
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), interim
	}
}

func TestOnTheDataPlaneEverythingButAPermitIs403(t *testing.T) {
	r := start(t, byAction, options(func(x *extauthz.Options) {
		x.Identity, x.RoleHeader, x.MaxBody = []string{"header:x-user", "address"}, "x-role", 64<<10
	}))
	addr := r.plane(t, nil)
	const get = "GET /ext_authz/envoy/shop HTTP/1.1\r\nHost: shop\r\n"
	many := func(n int, value string) (s string) {
		for i := range n {
			s += fmt.Sprintf("X-%d: %s\r\n", i, value)
		}
		return s
	}
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"a permit", get + "\r\n", 200},
		{"HTTP/1.0", "GET /ext_authz/envoy/shop HTTP/1.0\r\n\r\n", 200},
		{"HTTP/1.0 with a host and keep-alive", "GET /ext_authz/envoy/shop HTTP/1.0\r\nHost: shop\r\nConnection: keep-alive\r\n\r\n", 200},
		{"HTTP/1.0 that is denied", "POST /ext_authz/envoy/shop HTTP/1.0\r\n\r\n", 403},
		{"another version of HTTP", "GET /ext_authz/envoy/shop HTTP/9.9\r\nHost: shop\r\n\r\n", 403},
		{"no version", "GET /ext_authz/envoy/shop\r\n\r\n", 403},
		{"no host", "GET /ext_authz/envoy/shop HTTP/1.1\r\n\r\n", 0},
		{"two hosts", "GET /ext_authz/envoy/shop HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 0},
		{"a body on GET", get + "Content-Length: 5\r\n\r\nhello", 200},
		{"a body in chunks on GET", get + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200},
		{"a body that is announced", get + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", 200},
		{"a body that is announced in vain", "POST /ext_authz/envoy/shop HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", 403},
		{"a body that is announced and too long", get + "Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n", 403},
		{"another expectation", get + "Expect: miracles\r\nContent-Length: 0\r\n\r\n", 0},
		{"a body beyond max_body", get + "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), 403},
		{"a body beyond all limits", get + "Content-Length: 99999999999\r\n\r\n", 403},
		{"a length that is none", get + "Content-Length: five\r\n\r\nhello", 403},
		{"a negative length", get + "Content-Length: -5\r\n\r\nhello", 403},
		{"two lengths", get + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 403},
		{"a length and chunks", get + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 403},
		{"chunks of no length", get + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 403},
		{"a header of 8 KB", get + "X-Token: " + strings.Repeat("t", 8<<10) + "\r\n\r\n", 200},
		{"a header block of 20 KB", get + "X-Token: " + strings.Repeat("t", 20<<10) + "\r\n\r\n", 431},
		{"a request line of 20 KB", "GET /ext_authz/envoy/" + strings.Repeat("x", 20<<10) + " HTTP/1.1\r\nHost: shop\r\n\r\n", 431},
		{"a thousand headers", get + many(1000, "1") + "\r\n", 200},
		{"five hundred headers of one name", get + strings.Repeat("X-A: 1\r\n", 500) + "\r\n", 200},
		{"the subject twice", get + "X-User: bob\r\nX-User: bob\r\n\r\n", 403},
		{"the subject twice in other letters", get + "X-User: bob\r\nx-uSER: bob\r\n\r\n", 403},
		{"the role twice", get + "X-Role: a\r\nX-Role: a\r\n\r\n", 403},
		{"a header without a colon", get + "X-User\r\n\r\n", 403},
		{"a header with a space in its name", get + "X User: bob\r\n\r\n", 403},
		{"a space before the colon", get + "X-User : bob\r\n\r\n", 403},
		{"a folded header is one line", get + "X-User: bob\r\n eve\r\n\r\n", 200},
		{"a zero in a header", get + "X-User: b\x00b\r\n\r\n", 403},
		{"no UTF-8 in a header", get + "X-A: \xff\xfe\r\n\r\n", 403},
		{"another method", "BREW /ext_authz/envoy/shop HTTP/1.1\r\nHost: shop\r\n\r\n", 403},
		{"a method in small letters is another", "get /ext_authz/envoy/shop HTTP/1.1\r\nHost: shop\r\n\r\n", 403},
		{"an absolute target", "GET http://other/ext_authz/envoy/shop HTTP/1.1\r\nHost: shop\r\n\r\n", 200},
		{"a tunnel", "CONNECT /ext_authz/envoy/shop HTTP/1.1\r\nHost: shop\r\n\r\n", 403},
		{"an upgrade", get + "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 200},
		{"a path with a zero", "GET /ext_authz/envoy/%00 HTTP/1.1\r\nHost: shop\r\n\r\n", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, interim := exchange(t, addr, c.request)
			if status >= 500 || c.status != 0 && status != c.status || c.status == 0 && status != 200 && status != 403 {
				t.Fatalf("%d %s, want %d", status, body, c.status)
			}
			if want := strings.Contains(c.request, "100-continue") && !strings.Contains(c.request, "99999999999"); (interim > 0) != want {
				t.Errorf("%d interim answers", interim)
			}
			if strings.Contains(body, `"status":"ok"`) {
				t.Errorf("another handler: %s", body)
			}
		})
	}
}

func TestABodyBeyondAllLimitsIsAnEvent(t *testing.T) {
	r := start(t, byAction, options(func(x *extauthz.Options) { x.Identity = []string{"header:x-user"} }))
	addr := r.plane(t, nil)
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	for _, rest := range []string{
		"Content-Length: 99999999999\r\n\r\n", "Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n",
		chunked + "7ffffff\r\n", chunked + "4\r\nbody\r\n7ffffff\r\n",
	} {
		status, body, _ := exchange(t, addr, "GET /ext_authz/envoy/shop HTTP/1.1\r\nHost: shop\r\nX-User: bob\r\n"+rest)
		if status != 403 || !strings.Contains(body, "larger than extauthz.max_body") {
			t.Fatalf("%d %s", status, body)
		}
		select {
		case rec := <-r.rec.ch:
			if rec.SubjectID != "bob" || rec.Action != "GET" || rec.Resource != "/shop" || rec.Reason != "Evaluation error - denied: the call is larger than extauthz.max_body" {
				t.Errorf("%+v", rec)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("no event")
		}
	}
	if len(r.rec.ch) > 0 {
		t.Errorf("%d events too many", len(r.rec.ch))
	}
	// What is not too long is one event, as ever, and what cannot be read says nothing that a header said.
	for rest, want := range map[string]string{"2\r\nok\r\n0\r\n\r\n": "bob", "nonsense\r\n": ""} {
		if status, _, _ := exchange(t, addr, "GET /ext_authz/envoy/shop HTTP/1.1\r\nHost: shop\r\nX-User: bob\r\nConnection: close\r\n"+chunked+rest); status >= 500 {
			t.Errorf("%q: %d", rest, status)
		}
		if want == "" {
			continue
		}
		select {
		case rec := <-r.rec.ch:
			if rec.SubjectID != want || strings.Contains(rec.Reason, "larger") {
				t.Errorf("%q: %+v", rest, rec)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("no event")
		}
	}
	if len(r.rec.ch) > 0 {
		t.Errorf("%d events too many", len(r.rec.ch))
	}
}

// A client that goes away behind its header leaves nothing that a later call, on memory that was its own, is taken for.
func TestACallIsNotTakenForOneThatNeverArrived(t *testing.T) {
	r := start(t, byAction, options(func(x *extauthz.Options) { x.Identity = []string{"header:x-user"} }))
	addr := r.plane(t, nil)
	const call, large = "POST /ext_authz/envoy/shop HTTP/1.1\r\nHost: shop\r\n", "Content-Length: 99999999999\r\n\r\n"
	for range 20 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(nc, call+"X-User: eve\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, nc); err != nil { // until the server has done with it
			t.Fatal(err)
		}
		nc.Close()
		if status, body, _ := exchange(t, addr, "POST /v1/evaluate HTTP/1.1\r\nHost: shop\r\n"+large); status != 413 {
			t.Fatalf("%d %s", status, body)
		}
		if status, body, _ := exchange(t, addr, call+"X-User: bob\r\n"+large); status != 403 {
			t.Fatalf("%d %s", status, body)
		}
	}
	for range 20 {
		select {
		case rec := <-r.rec.ch:
			if rec.SubjectID != "bob" {
				t.Fatalf("an event of %q, who asked for nothing", rec.SubjectID)
			}
		default:
			t.Fatal("an event is missing")
		}
	}
	if len(r.rec.ch) > 0 {
		t.Errorf("%d events too many", len(r.rec.ch))
	}
}

// No target below /ext_authz/ is answered by another handler, or is a permit where policies permit nothing.
func TestNoSpellingOfATargetLeavesTheMesh(t *testing.T) {
	r := start(t, "package policies.p\ndeny contains \"all\"\n")
	addr := r.plane(t, nil)
	tails := []string{"healthz", "readyz", "v1/data", ".well-known/authzen-configuration"}
	for _, lead := range []string{"/ext_authz/", "/ext_authz/envoy/", "/ext_authz/nginx/", "/ext_authz/forward/", "http://shop/ext_authz/", "/ext_authz/envoy/a/b/"} {
		for _, up := range []string{"", "../", "../../", "..%2f..%2f", "%2e%2e/%2e%2e/", "%2e%2e%2f", "..\\..\\", "..%5c..%5c", "..;/..;/", "%252e%252e%252f",
			"./.././../", "//../..//", "%c0%ae%c0%ae/", "..%00/", "..#/", "?/../../", "..\t/", "%2e%2e%2e/", "\xff../"} {
			for _, tail := range tails {
				target := lead + up + tail
				if status, body, _ := exchange(t, addr, "GET "+target+" HTTP/1.1\r\nHost: shop\r\n\r\n"); status != 403 || strings.Contains(body, `"status":"ok"`) ||
					strings.Contains(body, `"status":"ready"`) || strings.Contains(body, `"result"`) {
					t.Errorf("%q: %d %s", target, status, body)
				}
			}
		}
	}
}
