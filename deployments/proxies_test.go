package deployments_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"thymus/test/harness"
)

func TestEnvoyAcceptsItsConfigurations(t *testing.T) {
	envoy := need(t, "../.tools/envoy/bin/envoy", "envoy")
	files, err := filepath.Glob("envoy/*.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if out := run(t, envoy, "--mode", "validate", "--base-id", "4711", "-c", f); !strings.Contains(out, "OK") {
			t.Errorf("%s: %s", f, out)
		}
	}
}

// standIn answers as Thymus does on its proxy surfaces and shows what it was asked; app shows what reached it. The real
// Thymus behind the real proxies is tested in test/: here it is the configurations' own promises.
func standIn(t *testing.T) (thymus, app *httptest.Server, asked chan http.Header) {
	asked = make(chan http.Header, 16)
	thymus = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Clone()
		w.Header().Set("X-Thymus-Decision-Id", "d1")
		if strings.Contains(r.Header.Get("X-Original-URI")+r.Header.Get("X-Forwarded-Uri"), "/admin") {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"decision_id":"d1"}`)
			return
		}
		w.Header().Set("X-Thymus-Effect", "allow")
	}))
	app = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.Header.Write(w)
	}))
	t.Cleanup(func() { thymus.Close(); app.Close() })
	return thymus, app, asked
}

// proxy writes a configuration with the addresses of the test in place of its own, and runs a program with it.
func proxy(t *testing.T, file string, thymus, app *httptest.Server, around string, argv func(path string) []string) string {
	t.Helper()
	port := harness.FreePort(t)
	addr := "127.0.0.1:" + port
	text := read(t, file)
	for from, to := range map[string]string{"127.0.0.1:8181": thymus.Listener.Addr().String(), "127.0.0.1:8080": app.Listener.Addr().String(), "10000": port} {
		if !strings.Contains(text, from) {
			t.Fatalf("%s does not name %s", file, from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	text = strings.ReplaceAll(text, "250ms", "10s") // a machine that stands still for longer is refused, and rightly
	dir := t.TempDir()
	path := filepath.Join(dir, filepath.Base(file))
	write(t, path, text)
	if around != "" {
		write(t, dir+"/outer.conf", strings.NewReplacer("DIR", dir, "FILE", path).Replace(around))
		path = dir + "/outer.conf"
	}
	args := argv(path)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	harness.Listen(t, addr, cmd)
	return "http://" + addr
}

func get(t *testing.T, url string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// What a client sends under the names that Thymus or the application believe. None of the values may arrive.
func spoofed() http.Header {
	h := http.Header{}
	for _, n := range []string{"X-Thymus-Decision-Id", "X-Thymus-Effect", "X-Thymus-Warning", "X-Thymus-Reason",
		"X-Original-Method", "X-Original-Uri", "X-Real-Ip", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
		h.Set(n, "/forged")
	}
	return h
}

func holds(t *testing.T, base string, thymus *httptest.Server, asked chan http.Header, believed []string, down int) {
	t.Helper()
	status, body := get(t, base+"/hello?x=1", spoofed())
	if status != 200 || !strings.Contains(body, "X-Thymus-Decision-Id: d1\r\n") || !strings.Contains(body, "X-Thymus-Effect: allow\r\n") {
		t.Errorf("a permit is %d\n%s", status, body)
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "X-Thymus-") && strings.Contains(line, "forged") {
			t.Errorf("the application got %s", line)
		}
	}
	h := <-asked
	for _, n := range believed {
		if v := h[http.CanonicalHeaderKey(n)]; len(v) != 1 || strings.Contains(v[0], "forged") {
			t.Errorf("Thymus was told %s: %q", n, v)
		}
	}
	if status, body := get(t, base+"/admin/x", nil); status != 403 || !strings.Contains(body, `"decision_id":"d1"`) {
		t.Errorf("a deny is %d %s", status, body)
	}
	thymus.Close()
	if status, body := get(t, base+"/hello", nil); status != down {
		t.Errorf("without Thymus the answer is %d %s, want %d", status, body, down)
	}
}

func TestNginxLetsNobodyAround(t *testing.T) {
	nginx := need(t, "nginx", "/usr/sbin/nginx")
	thymus, app, asked := standIn(t)
	base := proxy(t, "nginx/thymus.conf", thymus, app,
		"daemon off;\npid DIR/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c; uwsgi_temp_path DIR/d; scgi_temp_path DIR/e;\ninclude FILE;\n}\n",
		func(path string) []string { return []string{nginx, "-c", path, "-e", "stderr"} })
	if status, _ := get(t, base+"/_thymus", nil); status == 200 {
		<-asked
		t.Errorf("the location that asks is open to clients: %d", status)
	}
	for len(asked) > 0 {
		<-asked
	}
	holds(t, base, thymus, asked, []string{"X-Original-Method", "X-Original-Uri", "X-Real-Ip", "X-Forwarded-Proto"}, 500)
}

func TestCaddyLetsNobodyAround(t *testing.T) {
	caddy := need(t, "caddy")
	thymus, app, asked := standIn(t)
	base := proxy(t, "caddy/Caddyfile", thymus, app, "", func(path string) []string {
		return []string{caddy, "run", "--config", path, "--adapter", "caddyfile"}
	})
	holds(t, base, thymus, asked, []string{"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}, 502)
}
