package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/internal/health"
	"thymus/pdp/admin"
)

type quiet struct{ t *testing.T }

func (q quiet) Warn(what string, err error) { q.t.Logf("%s: %v", what, err) }

// start runs a listener whose token is "right".
func start(t *testing.T, change func(*admin.Options)) (addr string, h *health.Health) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := admin.OpenTokens(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	h = health.New()
	o := admin.Options{
		Health: h, Log: quiet{t}, Tokens: token,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics\n") }),
		Info: func() admin.Info {
			return admin.Info{Version: "1.2.3", Listeners: map[string]string{"data": "x"}, Sinks: []admin.Sink{}}
		},
	}
	if change != nil {
		change(&o)
	}
	s := admin.New(o)
	a, err := s.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Drain(ctx)
	})
	return a.String(), h
}

type answer struct {
	*http.Response
	body string
}

// ask sends a raw request target.
func ask(t *testing.T, addr, method, target string, headers ...string) answer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	req := method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + strings.Join(headers, "\r\n")
	if len(headers) > 0 {
		req += "\r\n"
	}
	if _, err := io.WriteString(c, req+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(b)}
}

const right = "Authorization: Bearer right"

func TestManagement(t *testing.T) {
	addr, h := start(t, nil)
	for _, c := range []struct {
		name, method, target, header string
		status                       int
		has                          string
	}{
		{"life asks for nothing", "GET", "/healthz", "", 200, `{"status":"ok"}`},
		{"its alias too", "GET", "/health", "", 200, `{"status":"ok"}`},
		{"readiness too", "GET", "/readyz", "", 200, `"ready"`},
		{"metrics too", "GET", "/metrics", "", 200, "metrics"},
		{"HEAD answers as GET", "HEAD", "/healthz", "", 200, ""},
		{"what is about the sidecar asks for the token", "GET", "/v1/info", "", 401, `"status":401`},
		{"and answers with it", "GET", "/v1/info", right, 200, `"version":"1.2.3"`},
		{"a query does not count", "GET", "/v1/info?x", right, 200, `"version":"1.2.3"`},
		{"an absolute target counts by its path", "GET", "http://y/v1/info", right, 200, `"version":"1.2.3"`},
		{"an unknown path tells nothing", "GET", "/v1/secret", "", 401, `"status":401`},
		{"and is not found with the token", "GET", "/v1/secret", right, 404, `"status":404`},
		{"a trailing slash is another path", "GET", "/v1/info/", right, 404, `"status":404`},
		{"dots are not resolved", "GET", "/healthz/../v1/info", "", 401, `"status":401`},
		{"nor redirected", "GET", "//v1//info", right, 404, `"status":404`},
		{"nor decoded", "GET", "/v1/inf%6f", right, 404, `"status":404`},
		{"another method", "DELETE", "/v1/info", right, 405, "GET, HEAD"},
		{"another method without the token", "POST", "/healthz", "", 401, `"status":401`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var hs []string
			if c.header != "" {
				hs = append(hs, c.header)
			}
			a := ask(t, addr, c.method, c.target, append(hs, "X-Request-ID: r1")...)
			if a.StatusCode != c.status || !strings.Contains(a.body, c.has) || a.Header.Get("X-Request-ID") != "r1" {
				t.Fatalf("got %d %v %s", a.StatusCode, a.Header, a.body)
			}
			if c.status >= 400 && (a.Header.Get("Content-Type") != "application/problem+json" || !json.Valid([]byte(a.body))) {
				t.Fatalf("%s %s", a.Header.Get("Content-Type"), a.body)
			}
			if c.status == 405 && a.Header.Get("Allow") != "GET, HEAD" {
				t.Fatalf("Allow: %s", a.Header.Get("Allow"))
			}
		})
	}
	h.Drain()
	if a := ask(t, addr, "GET", "/readyz"); a.StatusCode != 503 || !strings.Contains(a.body, "going away") {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
}

func TestWhatNoHandlerSeesIsRefusedAsAProblemToo(t *testing.T) {
	addr, _ := start(t, nil)
	for _, c := range []struct {
		name, target string
		headers      []string
		status       int
	}{
		{"headers over the limit", "/healthz", []string{"X-Long: " + strings.Repeat("x", 32<<10)}, 431},
		{"two hosts", "/healthz", []string{"Host: y"}, 400},
		{"another transfer encoding", "/healthz", []string{"Transfer-Encoding: gzip"}, 501},
		{"a malformed target", "/%zz", nil, 400},
		{"a malformed header", "/healthz", []string{"no colon"}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ask(t, addr, "GET", c.target, c.headers...)
			if a.StatusCode != c.status || c.status < 500 && (a.Header.Get("Content-Type") != "application/problem+json" || !json.Valid([]byte(a.body))) {
				t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
			}
		})
	}
}

func TestGuessingIsSlowedDownAndKnowingIsNot(t *testing.T) {
	addr, _ := start(t, nil)
	for i := range 15 {
		a := ask(t, addr, "GET", "/v1/info", "Authorization: Bearer wrong")
		want := 401
		if i >= 10 {
			want = 429
		}
		if a.StatusCode != want || want == 429 && a.Header.Get("Retry-After") == "" {
			t.Fatalf("guess %d: %d, want %d", i+1, a.StatusCode, want)
		}
		if a := ask(t, addr, "GET", "/v1/info", right); a.StatusCode != 200 {
			t.Fatalf("after %d guesses the right token gets %d", i+1, a.StatusCode)
		}
	}
	if a := ask(t, addr, "GET", "/v1/info"); a.StatusCode != 401 {
		t.Fatalf("no token at all is no guess: %d", a.StatusCode)
	}
}

func TestDiagnosticsIsHealthAndMetricsAlone(t *testing.T) {
	addr, _ := start(t, func(o *admin.Options) { o.Diagnostics = true })
	for target, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/v1/info": 404, "/": 404} {
		if a := ask(t, addr, "GET", target, right); a.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, a.StatusCode, want)
		}
	}
}

func TestProfilesAreServedOnlyWhereTheyAreAskedFor(t *testing.T) {
	with, _ := start(t, func(o *admin.Options) { o.Diagnostics, o.Pprof = true, true })
	without, _ := start(t, func(o *admin.Options) { o.Diagnostics = true })
	plane, _ := start(t, func(o *admin.Options) { o.Pprof = true })
	for target, want := range map[string]int{
		"/debug/pprof/heap": 200, "/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/profile?seconds=1": 200,
		"/debug/pprof/none": 404, "/debug/pprof/profile?seconds=0": 400, "/debug/pprof/profile?seconds=x": 400,
		"/debug/pprof/profile?seconds=121": 400,
	} {
		a := ask(t, with, "GET", target)
		if a.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, a.StatusCode, want)
		}
		if gz := strings.HasPrefix(a.body, "\x1f\x8b"); gz != (want == 200 && !strings.Contains(target, "debug=1")) {
			t.Errorf("%s: a profile, as gzip: %t", target, gz)
		}
		for _, addr := range []string{without, plane} {
			if a := ask(t, addr, "GET", target, right); a.StatusCode != 404 {
				t.Errorf("%s where profiles are off: %d, want 404", target, a.StatusCode)
			}
		}
	}
}
