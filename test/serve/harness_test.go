// Package serve_test asks the running binary what an operator and a caller can see.
package serve_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
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
	"syscall"
	"testing"
	"time"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "thymus-serve")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "thymus")
	code := 1
	if out, err := exec.Command("go", "build", "-o", binary, "thymus").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// process is a running sidecar.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	dir   string // its state
	ready map[string]any
	took  time.Duration // from exec to the ready line

	mu    sync.Mutex
	lines []map[string]any
	done  chan struct{} // closed when it has ended
	err   error         // how, after done
}

// command is the binary with a folder of its own for everything it keeps.
func command(dir string, args ...string) *exec.Cmd {
	all := append([]string{"serve", "--set", "dir=" + filepath.Join(dir, "state"), "--set", "events.ring.path=" + dir,
		"--set", "events.ring.size=1MiB"}, args...)
	cmd := exec.Command(binary, all...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	return cmd
}

// start runs it on ports of its own and waits until it says that it is ready.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startIn(t, t.TempDir(), args...)
}

func startIn(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	args = append([]string{"--set", "data.listen=127.0.0.1:0", "--set", "management.listen=127.0.0.1:0"}, args...)
	p := &process{t: t, cmd: command(dir, args...), dir: filepath.Join(dir, "state"), done: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go p.read(stderr, ready, begin)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("log of the sidecar:\n%s", p.log())
		}
	})
	select {
	case <-ready:
	case <-p.done:
		t.Fatalf("ended before it was ready: %v\n%s", p.err, p.log())
	case <-time.After(30 * time.Second):
		t.Fatalf("not ready after 30 s\n%s", p.log())
	}
	return p
}

func (p *process) read(r io.Reader, ready chan struct{}, begin time.Time) {
	defer close(p.done)
	for s := bufio.NewScanner(r); s.Scan(); {
		line := map[string]any{}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			line["text"] = s.Text()
		}
		p.mu.Lock()
		p.lines = append(p.lines, line)
		if line["message"] == "ready" && p.ready == nil {
			p.ready, p.took = line, time.Since(begin)
			close(ready)
		}
		p.mu.Unlock()
	}
	p.err = p.cmd.Wait()
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b bytes.Buffer
	for _, l := range p.lines {
		j, _ := json.Marshal(l)
		b.Write(append(j, '\n'))
	}
	return b.String()
}

func (p *process) url(plane string) string { return "http://" + p.addr(plane) }

func (p *process) addr(plane string) string {
	a, _ := p.ready[plane].(string)
	if a == "" {
		p.t.Fatalf("the ready line names no %s: %v", plane, p.ready)
	}
	return a
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the end and gives the exit code.
func (p *process) ends(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Fatalf("still running after %s\n%s", within, p.log())
	}
	return exitCode(p.t, p.err)
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// refused runs a start that must fail, and gives what it says.
func refused(t *testing.T, dir string, args ...string) (stderr string, code int) {
	t.Helper()
	cmd := command(dir, args...)
	var b bytes.Buffer
	cmd.Stderr = &b
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return b.String(), exitCode(t, err)
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("it runs\n%s", b.String())
		return "", 0
	}
}

// answer is a response read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (p *process) do(client *http.Client, method, url, body string, headers ...string) answer {
	p.t.Helper()
	a, err := try(client, method, url, body, headers...)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

func try(client *http.Client, method, url, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

// client makes connections of its own.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func tlsClient(t *testing.T, c *tls.Config) *http.Client {
	tr := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func unixClient(t *testing.T, path string) *http.Client {
	tr := &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", path) }}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// evaluate asks natively.
func (p *process) evaluate(c *http.Client, body string) (d struct {
	Allowed  bool   `json:"allowed"`
	Effect   string `json:"effect"`
	Rule     string `json:"matched_rule"`
	Reason   string `json:"reason"`
	Revision string `json:"policy_revision"`
}) {
	p.t.Helper()
	a := p.do(c, "POST", p.url("data")+"/v1/evaluate", body)
	if a.status != 200 {
		p.t.Fatalf("got %d %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &d); err != nil {
		p.t.Fatal(err)
	}
	return d
}

// metric is one sample of the management plane's metrics; -1 where it is not there.
func (p *process) metric(c *http.Client, sample string) (value float64) {
	p.t.Helper()
	a := p.do(c, "GET", p.url("management")+"/metrics", "")
	for line := range strings.Lines(a.body) {
		if rest, ok := strings.CutPrefix(line, sample+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				p.t.Fatal(err)
			}
			return value
		}
	}
	return -1
}

// raw sends bytes on a connection of their own and reads the answer.
func raw(t *testing.T, addr, request string) (answer, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return answer{}, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		return answer{}, err
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for time.Since(begin) < within {
		if ok() {
			return time.Since(begin)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within %s: %s", within, what)
	return 0
}
