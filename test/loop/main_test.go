// Package loop_test holds running sidecars against the closed loop: decisions become records, records become threats and
// immune events, those become quarantine, and the next decision knows.
package loop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/test/harness"
)

var binary string

func TestMain(m *testing.M) { harness.Main(m, &binary) }

// sidecar is one life of the program in a folder that may outlive it.
type sidecar struct {
	*harness.Process
	t          testing.TB
	dir        string
	data, mgmt string // URLs
	token      string
	client     *http.Client
}

func start(t testing.TB, dir string, settings ...string) *sidecar {
	t.Helper()
	args := []string{"serve"}
	for _, kv := range append([]string{"dir=" + filepath.Join(dir, "state"), "events.ring.path=" + dir, "events.ring.size=8MiB",
		"data.listen=127.0.0.1:0", "management.listen=127.0.0.1:0", "log.format=json"}, settings...) {
		args = append(args, "--set", kv)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	p := harness.Start(t, cmd)
	b, err := os.ReadFile(filepath.Join(dir, "state", "management.token"))
	if err != nil {
		t.Fatal(err)
	}
	return &sidecar{Process: p, t: t, dir: dir, data: p.URL("data"), mgmt: p.URL("management"), token: strings.TrimSpace(string(b)),
		client: harness.Client(t, &http.Transport{MaxIdleConnsPerHost: 64})}
}

// call asks the management plane and decodes the answer, unless into is nil.
func (s *sidecar) call(method, path, body string, into any) int {
	s.t.Helper()
	a, err := harness.Ask(s.client, method, s.mgmt+path, body, "Authorization", "Bearer "+s.token)
	if err != nil {
		s.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(a.Body), into); err != nil {
			s.t.Fatalf("%s %s: %d %s: %v", method, path, a.Status, a.Body, err)
		}
	}
	return a.Status
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
	a, err := harness.Ask(s.client, "POST", s.data+"/v1/evaluate", body)
	if err != nil {
		return d, err
	}
	if a.Status != 200 {
		return d, fmt.Errorf("%d %s", a.Status, a.Body)
	}
	return d, json.Unmarshal([]byte(a.Body), &d)
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

// says waits for an immune event whose message begins so.
func (s *sidecar) says(prefix string) (e *immuneItem) {
	s.t.Helper()
	harness.Eventually(s.t, 30*time.Second, "an immune event says: "+prefix, func() bool { e = s.said(prefix); return e != nil })
	return e
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
	a, err := harness.Ask(s.client, "GET", s.mgmt+"/metrics", "")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(a.Body) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, _ = fmt.Sscan(rest, &v)
			return v
		}
	}
	s.t.Fatalf("no metric %s", name)
	return 0
}
