//go:build unix

// Package mesh_test asks the running binary through real proxies, with the configurations of deployments/.
package mesh_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"thymus/test/harness"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { harness.Main(m, &binary) }

// root is the module's folder.
func root(t testing.TB) string {
	t.Helper()
	d, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var install sync.Mutex

// program finds a program, or installs its Debian package where that is possible.
func program(t testing.TB, name, pkg string) string {
	t.Helper()
	install.Lock()
	defer install.Unlock()
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	if os.Getuid() != 0 {
		harness.Absent(t, name, "not in PATH, and only root can install it")
	}
	cmd := exec.Command("sh", "-c", "apt-get update -q && apt-get install -q -y --no-install-recommends "+pkg)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		harness.Absent(t, name, fmt.Sprintf("installing %s: %v\n%s", pkg, err, tail(string(out))))
	}
	p, err := exec.LookPath(name)
	if err != nil {
		harness.Absent(t, name, "installed, and still not in PATH")
	}
	return p
}

func tail(s string) string { return s[max(0, len(s)-2000):] }

// sidecar is a Thymus with ports of its own, which it keeps when it is started again.
type sidecar struct {
	t               testing.TB
	dir, data, mesh string
	socket          string
	args            []string
	life            *harness.Process
}

// thymus starts a sidecar with one Rego module.
func thymus(t testing.TB, rego string, args ...string) *sidecar {
	t.Helper()
	s := &sidecar{t: t, dir: t.TempDir(), args: args}
	s.data, s.mesh = harness.FreePort(t), harness.FreePort(t)
	sock, err := os.MkdirTemp("", "tm") // t.TempDir can be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sock) })
	s.socket = filepath.Join(sock, "x.sock")
	harness.Write(t, filepath.Join(s.dir, "p.rego"), rego)
	s.start()
	return s
}

func (s *sidecar) start() {
	s.t.Helper()
	args := append([]string{
		"serve", "--set", "dir=" + filepath.Join(s.dir, "state"), "--set", "events.ring.path=" + s.dir, "--set", "events.ring.size=1MiB",
		"--set", "data.listen=127.0.0.1:" + s.data, "--set", "management.listen=", "--set", "data.deadline=2s",
		"--set", "extauthz.listen=127.0.0.1:" + s.mesh, "--set", "extauthz.socket=" + s.socket,
		"--set", "policies.builtin=false",
	}, s.args...)
	cmd := exec.Command(binary, append(args, filepath.Join(s.dir, "p.rego"))...)
	cmd.Dir = s.dir
	cmd.Env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}
	s.life = harness.Start(s.t, cmd)
}

// seen is what the application behind a proxy got.
type seen struct {
	Method, Target, Host string
	Headers              http.Header
	Body                 string
}

// application tells each request what it looked like when it arrived.
func application(t testing.TB) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echo(w)
			return
		}
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-From", "application")
		w.Header().Set("Set-Cookie", "app=1")
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, r.Header, string(b)})
	})}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// echo switches protocols, and sends back what comes.
func echo(w http.ResponseWriter) {
	nc, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-From: application\r\n\r\n")
	_ = rw.Flush()
	_, _ = io.Copy(nc, rw)
}

// reply is what a client got.
type reply struct {
	status  int
	headers http.Header
	body    string
	app     *seen // nil: the application was not asked
	last    bool  // of its connection
}

// send writes a request byte for byte: no client library tidies its path.
func send(addr, method, target, body string, headers ...string) (*reply, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n", method, target)
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return sendRaw(addr, method, b.String()+"\r\n"+body)
}

// sendRaw writes what is to be a request of a method, and reads the answer.
func sendRaw(addr, method, text string) (*reply, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(nc, text); err != nil {
		return nil, err
	}
	return readReply(bufio.NewReader(nc), method)
}

// readReply reads the answer to a request of a method.
func readReply(from *bufio.Reader, method string) (*reply, error) {
	resp, err := http.ReadResponse(from, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	r := &reply{status: resp.StatusCode, headers: resp.Header, body: string(text), last: resp.Close}
	if resp.Header.Get("X-From") == "application" {
		if r.app = (&seen{}); method == "HEAD" {
			return r, nil
		}
		if err := json.Unmarshal(text, r.app); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// proxy is a proxy before the application.
type proxy struct {
	t    testing.TB
	addr string
	life *harness.Process
}

// front starts a proxy that listens at a port of the loopback.
func front(t testing.TB, port string, cmd *exec.Cmd) proxy {
	t.Helper()
	addr := "127.0.0.1:" + port
	return proxy{t, addr, harness.Listen(t, addr, cmd)}
}

// shipped is a file of deployments/, with ports and the like replaced: pairs of old and new.
func shipped(t testing.TB, name string, swaps ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "deployments", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(swaps...).Replace(string(text))
}

func (p proxy) send(method, target, body string, headers ...string) *reply {
	p.t.Helper()
	r, err := send(p.addr, method, target, body, headers...)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, target, err)
	}
	return r
}

// passes fails unless the application answered.
func (p proxy) passes(method, target, body string, headers ...string) *seen {
	p.t.Helper()
	r := p.send(method, target, body, headers...)
	if r.app == nil {
		p.t.Fatalf("%s %s %v was not let through: %d %s", method, target, headers, r.status, r.body)
	}
	return r.app
}

// stopped fails if the application answered.
func (p proxy) stopped(method, target, body string, headers ...string) *reply {
	p.t.Helper()
	r := p.send(method, target, body, headers...)
	if r.app != nil || r.status < 400 {
		p.t.Fatalf("%s %s %v was let through: %d %s", method, target, headers, r.status, r.body)
	}
	return r
}
