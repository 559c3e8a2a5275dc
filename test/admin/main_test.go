// Package admin_test asks the management plane of the running binary what an operator and a program can ask.
package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"thymus/test/harness"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { harness.Main(m, &binary) }

// sidecar is a running process.
type sidecar struct {
	*harness.Process
	t          *testing.T
	dir        string // holds its state, and survives it
	data       string // URL
	management string
	token      string
	client     *http.Client
}

// start runs it in a folder and waits until it is ready.
func start(t *testing.T, dir string, args ...string) *sidecar {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"serve", "--set", "dir=" + filepath.Join(dir, "state"), "--set", "events.ring.path=" + dir,
		"--set", "events.ring.size=4MiB", "--set", "data.listen=127.0.0.1:0", "--set", "management.listen=127.0.0.1:0"}, args...)...)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	s := &sidecar{t: t, dir: dir, client: harness.Client(t, &http.Transport{MaxIdleConnsPerHost: 64})}
	s.Process = harness.Start(t, cmd)
	s.data, s.management = s.URL("data"), s.URL("management")
	b, err := os.ReadFile(filepath.Join(dir, "state", "management.token"))
	if err == nil {
		s.token = strings.TrimSpace(string(b))
	}
	return s
}

// try asks the management plane. headers are names and values; without an Authorization the token is sent.
func (s *sidecar) try(method, path, body string, headers ...string) (harness.Answer, error) {
	return harness.Ask(s.client, method, s.management+path, body, append([]string{"Authorization", "Bearer " + s.token}, headers...)...)
}

func (s *sidecar) ask(method, path, body string, headers ...string) harness.Answer {
	s.t.Helper()
	a, err := s.try(method, path, body, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// must asks and expects a status.
func (s *sidecar) must(status int, method, path, body string, headers ...string) harness.Answer {
	s.t.Helper()
	a := s.ask(method, path, body, headers...)
	if a.Status != status {
		s.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.Status, status, a.Body)
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
