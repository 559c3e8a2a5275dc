// Package events_test holds the running binary against what CONTRACT 6 promises of events: whatever is killed, full,
// slow or gone, what was answered is on record once, and the accounts add up.
package events_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"thymus/test/harness"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { harness.Main(m, &binary) }

// sidecar is one life of the program.
type sidecar struct {
	*harness.Process
	t          testing.TB
	data, mgmt string
	dir        string
	body       func(n int) string // of the requests of load
}

// home is a state directory, with the ring in a tmpfs of its own where there is one.
type home struct {
	dir  string
	env  []string
	bin  string
	body func(n int) string // of the requests of load; body unless it is another
}

func newHome(t testing.TB, env ...string) *home {
	t.Helper()
	h := &home{dir: t.TempDir(), bin: binary, body: body}
	shm := "/dev/shm"
	if st, err := os.Stat(shm); err != nil || !st.IsDir() {
		shm = ""
	}
	ring, err := os.MkdirTemp(shm, "thymus-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(ring) })
	h.env = append([]string{"THYMUS_DIR=" + h.dir, "THYMUS_EVENTS_RING_PATH=" + ring, "THYMUS_DATA_LISTEN=127.0.0.1:0",
		"THYMUS_MANAGEMENT_LISTEN=127.0.0.1:0", "THYMUS_LOG_FORMAT=json", "THYMUS_INSTANCE=test-1",
		"THYMUS_EVENTS_RING_SIZE=8MiB"}, append(undetected(), env...)...)
	return h
}

// undetected switches the detectors off: these tests count the events of decisions, and a load test is a crowd of suspects.
func undetected() (env []string) {
	for _, d := range []string{"DENIALS", "PROBING", "ROLE_CHANGE", "RATE", "FIRST_SEEN", "PATH_CONFUSION", "ERRORS", "LATENCY", "PRESSURE"} {
		env = append(env, "THYMUS_DETECT_"+d+"_ENABLED=false")
	}
	return env
}

func (h *home) journal() string { return filepath.Join(h.dir, "journal") }

// command is another run of the binary, with the home's configuration.
func (h *home) command(args ...string) *exec.Cmd {
	cmd := exec.Command(h.bin, args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "THYMUS_") { // the program refuses what it does not know, and what it knows is the test's
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(append(cmd.Env, h.env...), "NO_COLOR=1")
	return cmd
}

// start runs it until it is ready.
func (h *home) start(t testing.TB, args ...string) *sidecar {
	t.Helper()
	p := harness.Start(t, h.command(args...))
	return &sidecar{Process: p, t: t, data: p.Addr("data"), mgmt: p.Addr("management"), dir: h.dir, body: h.body}
}

// client has connections enough for every worker.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}

// evaluate asks for one decision and returns its id; the error is anything but a whole answer.
func (s *sidecar) evaluate(body string) (id string, err error) {
	res, err := client.Post("http://"+s.data+"/v1/evaluate", "application/json", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", &status{res.StatusCode, string(b)}
	}
	var a struct {
		ID string `json:"decision_id"`
	}
	if err := json.Unmarshal(b, &a); err != nil || a.ID == "" {
		return "", fmt.Errorf("%w: %s", err, b)
	}
	return a.ID, nil
}

type status struct {
	code int
	body string
}

func (s *status) Error() string { return strconv.Itoa(s.code) + " " + s.body }

// bodies are decisions of each kind: an allow, a deny, a default.
func body(n int) string {
	role, action := "admin", "deploy"
	switch n % 5 {
	case 3:
		role, action = "guest", "delete"
	case 4:
		role = "nobody"
	}
	return fmt.Sprintf(`{"agent_id":"agent-%d","agent_role":%q,"action":%q,"resource":"cluster/%d"}`, n%23, role, action, n%7)
}

// load asks with some workers until ctx ends, and returns the ids of the decisions that were answered.
func (s *sidecar) load(ctx context.Context, workers int) (answered []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var mine []string
			for n := w; ctx.Err() == nil; n += workers {
				id, err := s.evaluate(s.body(n))
				if err != nil {
					break // it is dead
				}
				mine = append(mine, id)
			}
			mu.Lock()
			answered = append(answered, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return answered
}

// metrics are all samples by name and labels.
func (s *sidecar) metrics() map[string]float64 {
	s.t.Helper()
	res, err := client.Get("http://" + s.mgmt + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && name != "#" {
			out[name] = v
		}
	}
	return out
}

var classes = []string{"allow", "deny", "warn", "audit", "threat", "immune", "admin"}

// settle waits until nothing is in flight before the journal, nor comes: what detectors found is told a while later.
func (s *sidecar) settle() map[string]float64 {
	s.t.Helper()
	sum := func(m map[string]float64, name string) (n float64) {
		for _, c := range classes {
			n += m[name+`{class="`+c+`"}`]
		}
		return n
	}
	const pending, offered = "thymus_records_pending", "thymus_records_offered_total"
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		m := s.metrics()
		if sum(m, pending) == 0 {
			time.Sleep(2 * time.Millisecond) // between the side record and the cursor
			if now := s.metrics(); sum(now, pending) == 0 && sum(now, offered) == sum(m, offered) {
				return now
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%v records stay in the ring, or come without end\n%s", sum(m, pending), s.Log())
		}
	}
}

// equations holds both of CONTRACT 6 against the metrics.
func equations(m map[string]float64) error {
	for _, c := range classes {
		at := func(name string) float64 { return m[name+`{class="`+c+`"}`] }
		offered, pumped, pending, shed := at("thymus_records_offered_total"), at("thymus_records_pumped_total"),
			at("thymus_records_pending"), at("thymus_records_shed_total")
		if offered != pumped+pending+shed {
			return fmt.Errorf("class %s: offered %v != pumped %v + pending %v + shed %v", c, offered, pumped, pending, shed)
		}
	}
	at := func(name string) float64 { return m[name+`{sink="kafka"}`] }
	journaled := at("thymus_events_journaled_total")
	rest := at("thymus_events_delivered_total") + at("thymus_events_pending") + at("thymus_events_expired_total") + at("thymus_events_refused_total")
	if journaled != rest {
		return fmt.Errorf("journaled %v != delivered, pending, expired and refused, which are %v", journaled, rest)
	}
	return nil
}
