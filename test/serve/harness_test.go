// Package serve_test asks the running binary what an operator and a caller can see.
package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/test/harness"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { harness.Main(m, &binary) }

// process is a running sidecar.
type process struct {
	*harness.Process
	t   *testing.T
	dir string // its state
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
	return &process{Process: harness.Start(t, command(dir, args...)), t: t, dir: filepath.Join(dir, "state")}
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
		return b.String(), harness.ExitCode(t, err)
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("it runs\n%s", b.String())
		return "", 0
	}
}

func (p *process) do(client *http.Client, method, url, body string, headers ...string) harness.Answer {
	p.t.Helper()
	a, err := harness.Ask(client, method, url, body, headers...)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// client makes connections of its own.
func client(t *testing.T) *http.Client { return harness.Client(t, &http.Transport{}) }

func tlsClient(t *testing.T, c *tls.Config) *http.Client {
	return harness.Client(t, &http.Transport{TLSClientConfig: c, DisableKeepAlives: true})
}

func unixClient(t *testing.T, path string) *http.Client {
	return harness.Client(t, &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}})
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
	a := p.do(c, "POST", p.URL("data")+"/v1/evaluate", body)
	if a.Status != 200 {
		p.t.Fatalf("got %d %s", a.Status, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil {
		p.t.Fatal(err)
	}
	return d
}

// metric is one sample of the management plane's metrics; -1 where it is not there.
func (p *process) metric(c *http.Client, sample string) (value float64) {
	p.t.Helper()
	a := p.do(c, "GET", p.URL("management")+"/metrics", "")
	for line := range strings.Lines(a.Body) {
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
func raw(t *testing.T, addr, request string) (harness.Answer, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return harness.Answer{}, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		return harness.Answer{}, err
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return harness.Answer{}, err
	}
	b, err := io.ReadAll(resp.Body)
	return harness.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(b)}, err
}
