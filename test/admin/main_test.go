// Package admin_test asks the management plane of the running binary what an operator and a program can ask.
package admin_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "thymus-admin")
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

// sidecar is a running process.
type sidecar struct {
	t          *testing.T
	cmd        *exec.Cmd
	dir        string // holds its state, and survives it
	data       string // URL
	management string
	token      string
	client     *http.Client

	mu   sync.Mutex
	log  strings.Builder
	done chan struct{}
}

// start runs it in a folder and waits until it is ready.
func start(t *testing.T, dir string, args ...string) *sidecar {
	t.Helper()
	all := append([]string{"serve", "--set", "dir=" + filepath.Join(dir, "state"), "--set", "events.ring.path=" + dir,
		"--set", "events.ring.size=4MiB", "--set", "data.listen=127.0.0.1:0", "--set", "management.listen=127.0.0.1:0"}, args...)
	s := &sidecar{t: t, cmd: exec.Command(binary, all...), dir: dir, done: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = dir, []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan map[string]any, 1)
	go s.read(stderr, ready)
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	s.client = &http.Client{Transport: tr, Timeout: time.Minute}
	t.Cleanup(func() {
		s.kill()
		tr.CloseIdleConnections()
		if t.Failed() {
			t.Logf("log of the sidecar:\n%s", s.said())
		}
	})
	select {
	case line := <-ready:
		s.data, s.management = fmt.Sprintf("http://%s", line["data"]), fmt.Sprintf("http://%s", line["management"])
	case <-s.done:
		t.Fatalf("ended before it was ready\n%s", s.said())
	case <-time.After(time.Minute):
		t.Fatalf("not ready after a minute\n%s", s.said())
	}
	b, err := os.ReadFile(filepath.Join(dir, "state", "management.token"))
	if err == nil {
		s.token = strings.TrimSpace(string(b))
	}
	return s
}

func (s *sidecar) read(r io.Reader, ready chan<- map[string]any) {
	defer close(s.done)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := map[string]any{}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line["message"] == "ready" {
			ready <- line
		}
		s.mu.Lock()
		s.log.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
	}
	_ = s.cmd.Wait()
}

func (s *sidecar) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// kill ends it as a power cut would.
func (s *sidecar) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

type answer struct {
	status int
	header http.Header
	body   string
}

// field is a member of an answer that is an object.
func (a answer) field(name string) any {
	m := map[string]any{}
	_ = json.Unmarshal([]byte(a.body), &m)
	return m[name]
}

// try asks the management plane. headers are names and values; without an Authorization the token is sent.
func (s *sidecar) try(method, path, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, s.management+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(b)}, err
}

func (s *sidecar) ask(method, path, body string, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(method, path, body, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// must asks and expects a status.
func (s *sidecar) must(status int, method, path, body string, headers ...string) answer {
	s.t.Helper()
	a := s.ask(method, path, body, headers...)
	if a.status != status {
		s.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// decide asks the data plane natively.
func (s *sidecar) decide(body string) (allowed bool, rule string) {
	s.t.Helper()
	res, err := s.client.Post(s.data+"/v1/evaluate", "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var d struct {
		Allowed bool   `json:"allowed"`
		Rule    string `json:"matched_rule"`
	}
	if err := json.NewDecoder(res.Body).Decode(&d); err != nil {
		s.t.Fatal(err)
	}
	return d.Allowed, d.Rule
}

// events are those of the journal, of types that begin so, in order.
func (s *sidecar) events(prefix string) (out []map[string]any) {
	files, err := filepath.Glob(filepath.Join(s.dir, "state", "journal", "*.ndjson"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			e := map[string]any{}
			if json.Unmarshal([]byte(line), &e) == nil && strings.HasPrefix(fmt.Sprint(e["type"]), prefix) {
				out = append(out, e)
			}
		}
	}
	return out
}

func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %s: %s", within, what)
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
