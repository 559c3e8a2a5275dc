// Package loop_test holds running sidecars against the closed loop: decisions become records, records become threats and
// immune events, those become quarantine, and the next decision knows.
package loop_test

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
	"syscall"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "thymus-loop-")
	code := 1
	if err == nil {
		binary = filepath.Join(dir, "thymus")
		if out, e := exec.Command("go", "build", "-o", binary, "thymus").CombinedOutput(); e != nil {
			err = fmt.Errorf("go build: %w\n%s", e, out)
		} else {
			code = m.Run()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// sidecar is one life of the program in a folder that may outlive it.
type sidecar struct {
	t          testing.TB
	cmd        *exec.Cmd
	dir        string
	data, mgmt string
	token      string
	client     *http.Client
	mu         sync.Mutex
	log        strings.Builder
	done       chan struct{}
}

func start(t testing.TB, dir string, settings ...string) *sidecar {
	t.Helper()
	s := &sidecar{t: t, dir: dir, done: make(chan struct{}), client: &http.Client{Timeout: 20 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	args := []string{"serve"}
	for _, kv := range append([]string{"dir=" + filepath.Join(dir, "state"), "events.ring.path=" + dir, "events.ring.size=8MiB",
		"data.listen=127.0.0.1:0", "management.listen=127.0.0.1:0", "log.format=json"}, settings...) {
		args = append(args, "--set", kv)
	}
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(s.done)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			s.mu.Lock()
			s.log.WriteString(lines.Text() + "\n")
			s.mu.Unlock()
			var l struct{ Message, Data, Management string }
			if json.Unmarshal(lines.Bytes(), &l) == nil && l.Message == "ready" {
				s.data, s.mgmt = "http://"+l.Data, "http://"+l.Management
				close(ready)
			}
		}
		_ = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.kill()
		s.client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("log:\n%s", s.logs())
		}
	})
	select {
	case <-ready:
	case <-s.done:
		t.Fatalf("it ended before it was ready\n%s", s.logs())
	case <-time.After(30 * time.Second):
		t.Fatalf("it is not ready\n%s", s.logs())
	}
	b, err := os.ReadFile(filepath.Join(dir, "state", "management.token"))
	if err != nil {
		t.Fatal(err)
	}
	s.token = strings.TrimSpace(string(b))
	return s
}

func (s *sidecar) logs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// kill is kill -9.
func (s *sidecar) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

func (s *sidecar) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		s.t.Fatal("it does not end")
	}
}

// call asks the management plane and decodes the answer, unless into is nil.
func (s *sidecar) call(method, path, body string, into any) int {
	s.t.Helper()
	req, err := http.NewRequest(method, s.mgmt+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			s.t.Fatalf("%s %s: %d %s: %v", method, path, res.StatusCode, b, err)
		}
	}
	return res.StatusCode
}

type decision struct {
	Allowed  bool
	Policy   string `json:"matched_policy"`
	Rule     string `json:"matched_rule"`
	Reason   string
	Revision string `json:"policy_revision"`
}

func (s *sidecar) ask(agent, role, action, resource string) (d decision) {
	s.t.Helper()
	d, err := s.try(agent, role, action, resource)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *sidecar) try(agent, role, action, resource string) (d decision, err error) {
	body := fmt.Sprintf(`{"agent_id":%q,"agent_role":%q,"action":%q,"resource":%q}`, agent, role, action, resource)
	res, err := s.client.Post(s.data+"/v1/evaluate", "application/json", strings.NewReader(body))
	if err != nil {
		return d, err
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		b, _ := io.ReadAll(res.Body)
		return d, fmt.Errorf("%d %s", res.StatusCode, b)
	}
	return d, json.NewDecoder(res.Body).Decode(&d)
}

type threatItem struct {
	ID       string `json:"threat_id"`
	Type     string
	Source   string
	Severity string
	Status   string
	Count    int
}

func (s *sidecar) threats() []threatItem {
	s.t.Helper()
	var l struct{ Items []threatItem }
	s.call("GET", "/v1/threats?limit=1000", "", &l)
	return l.Items
}

type immuneItem struct {
	Severity, Type, Message, Module string
	Agent                           string `json:"agent_id"`
}

func (s *sidecar) immune() []immuneItem {
	s.t.Helper()
	var l struct{ Items []immuneItem }
	s.call("GET", "/v1/immune/events?limit=1000", "", &l)
	return l.Items
}

// said finds an immune event whose message begins so.
func (s *sidecar) said(prefix string) *immuneItem {
	s.t.Helper()
	for _, e := range s.immune() {
		if strings.HasPrefix(e.Message, prefix) {
			return &e
		}
	}
	return nil
}

func (s *sidecar) quarantined() (ids []string) {
	s.t.Helper()
	var l struct {
		Items []struct {
			Type string
			ID   string `json:"agent_id"`
		}
	}
	s.call("GET", "/v1/immune/quarantine", "", &l)
	for _, e := range l.Items {
		ids = append(ids, e.Type+"/"+e.ID)
	}
	return ids
}

// events counts the journal's events by type.
func (s *sidecar) events() map[string]int {
	s.t.Helper()
	out := map[string]int{}
	names, _ := filepath.Glob(filepath.Join(s.dir, "state", "journal", "*.ndjson"))
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			var e struct{ Type string }
			if json.Unmarshal([]byte(line), &e) == nil {
				out[e.Type]++
			}
		}
	}
	return out
}

func (s *sidecar) metric(name string) (v float64) {
	s.t.Helper()
	res, err := s.client.Get(s.mgmt + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, _ = fmt.Sscan(rest, &v)
			return v
		}
	}
	s.t.Fatalf("no metric %s", name)
	return 0
}

func wait(t testing.TB, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(begin)
}
