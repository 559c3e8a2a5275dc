//go:build unix

package mesh_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"thymus/test/harness"
)

// mixed has an answer of each kind, and some that depend on what only this request carries.
const mixed = `package policies.mixed

allow contains "shop" if startswith(input.resource.id, "/shop")

allow contains "own" if input.resource.id == concat("", ["/own/", input.attributes.request.http.headers["x-user"]])

allow contains "pays" if {
	startswith(input.resource.id, "/pay/")
	input.parsed_body.amount <= 100
	input.resource.id == sprintf("/pay/%d", [input.parsed_body.amount])
}

warn contains {"rule": "old", "priority": 1, "reason": "gone soon"} if startswith(input.resource.id, "/old")

deny contains {"rule": "secret", "priority": 10, "reason": "nobody reads secrets"} if startswith(input.resource.id, "/secret")
`

// question is one request of the load, with the answer that it has to get.
type question struct {
	method, target, body string
	headers              string
	passes               bool
	effect               string
}

// ask is the n-th question; shown says whether the proxy shows bodies.
func ask(n int, shown bool) question {
	switch n % 6 {
	case 0:
		return question{"GET", fmt.Sprintf("/shop/%d?n=%d", n%7, n), "", "", true, "allow"}
	case 1:
		return question{"GET", fmt.Sprintf("/secret/%d", n), "", "", false, ""}
	case 2:
		return question{"GET", fmt.Sprintf("/old/%d", n), "", "X-Thymus-Effect: allow\r\n", true, "warn"}
	case 3:
		return question{"GET", fmt.Sprintf("/own/u%d", n), "", fmt.Sprintf("X-User: u%d\r\n", n), true, "allow"}
	case 4:
		return question{"GET", fmt.Sprintf("/own/u%d", n), "", fmt.Sprintf("X-User: u%d\r\n", n+1), false, ""}
	}
	amount := n % 200
	return question{"POST", fmt.Sprintf("/pay/%d", amount), fmt.Sprintf(`{"amount":%d,"pad":"%s"}`, amount, strings.Repeat("x", n%977)),
		"Content-Type: application/json\r\n", shown && amount <= 100, "allow"}
}

// lane is one connection of a client, opened again where the proxy closed it.
type lane struct {
	addr   string
	nc     net.Conn
	from   *bufio.Reader
	opened int
}

func (l *lane) ask(q question) (*reply, error) {
	if l.nc == nil {
		nc, err := net.Dial("tcp", l.addr)
		if err != nil {
			return nil, err
		}
		l.nc, l.from = nc, bufio.NewReader(nc)
		l.opened++
	}
	_ = l.nc.SetDeadline(time.Now().Add(20 * time.Second))
	text := q.method + " " + q.target + " HTTP/1.1\r\nHost: shop.example\r\n" + q.headers
	if q.body != "" {
		text += "Content-Length: " + strconv.Itoa(len(q.body)) + "\r\n"
	}
	if _, err := io.WriteString(l.nc, text+"\r\n"+q.body); err != nil {
		return nil, err
	}
	r, err := readReply(l.from, q.method)
	if err != nil || r.last {
		l.close()
	}
	return r, err
}

func (l *lane) close() {
	if l.nc != nil {
		_ = l.nc.Close()
		l.nc = nil
	}
}

// hold compares an answer with what it has to be, and returns the decision's id.
func (q question) hold(r *reply) (id string, err error) {
	if !q.passes {
		var told struct {
			ID string `json:"decision_id"`
		}
		if r.app != nil || r.status != 403 || json.Unmarshal([]byte(r.body), &told) != nil {
			return "", fmt.Errorf("%s %s: %d %s", q.method, q.target, r.status, r.body)
		}
		return told.ID, nil
	}
	if r.app == nil || r.app.Method != q.method || r.app.Target != q.target || r.app.Body != q.body {
		return "", fmt.Errorf("%s %s: %d %s", q.method, q.target, r.status, r.body)
	}
	h := r.app.Headers
	if e := h.Values("X-Thymus-Effect"); len(e) != 1 || e[0] != q.effect || (h.Get("X-Thymus-Warning") == "gone%20soon") != (q.effect == "warn") {
		return "", fmt.Errorf("%s %s: %v", q.method, q.target, h)
	}
	return h.Get("X-Thymus-Decision-Id"), nil
}

// loadFor is how long the load lasts: THYMUS_SLOW=1 is a minute.
func loadFor() time.Duration {
	if slow() {
		return time.Minute
	}
	return 2 * time.Second
}

// Load through all proxies at once, while the policy is written anew twice a second: every answer is the right one, names
// a decision of its own, and is counted.
func TestNoAnswerIsWrongUnderLoad(t *testing.T) {
	diagnostics := harness.FreePort(t)
	s, app := thymus(t, mixed, "--set", "diagnostics.listen=127.0.0.1:"+diagnostics), application(t)
	const lanes = 2 // a proxy
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	answered, opened := map[string]int{}, 0
	ends := make(chan struct{})
	const enough = 100 // answers of each proxy
	var some sync.WaitGroup
	for _, r := range everybody() {
		p := r.start(t, s, app)
		for i := range lanes {
			some.Add(1)
			all.Go(func() {
				l := &lane{addr: p.addr}
				defer l.close()
				var mine []string
				told := sync.OnceFunc(some.Done)
				defer told()
				for n := i * 1_000_003; ; n++ {
					select {
					case <-ends:
						mu.Lock()
						defer mu.Unlock()
						answered[r.name] += len(mine)
						opened += l.opened
						for _, id := range mine {
							if ids[id] {
								t.Errorf("%s: %s comes twice", r.name, id)
							}
							ids[id] = true
						}
						return
					default:
					}
					q := ask(n, strings.HasPrefix(r.name, "Envoy"))
					got, err := l.ask(q)
					id := ""
					if err == nil {
						id, err = q.hold(got)
					}
					if err != nil || len(id) != 36 {
						t.Errorf("%s: %q %v", r.name, id, err)
						return
					}
					if mine = append(mine, id); len(mine) == enough/lanes {
						told()
					}
				}
			})
		}
	}
	answers := make(chan struct{})
	go func() { // until there is something to say of each, or somebody has failed
		defer close(answers)
		some.Wait()
	}()
	begin, reloads, waiting := time.Now(), 0, true
	for ; time.Since(begin) < loadFor() || waiting && time.Since(begin) < 2*time.Minute; reloads++ {
		time.Sleep(500 * time.Millisecond) // the pace of the reloads
		next := filepath.Join(s.dir, "next")
		text := mixed + fmt.Sprintf("\nallow contains \"extra\" if input.resource.id == \"/extra/%d\"\n", reloads)
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(s.dir, "p.rego")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-answers:
			waiting = sum(t, scrape(t, diagnostics), "thymus_policy_reloads_total") < 2
		default:
		}
	}
	close(ends)
	all.Wait()
	took := time.Since(begin)
	total := 0
	for _, r := range everybody() {
		if answered[r.name] < enough {
			t.Errorf("%s answered %d", r.name, answered[r.name])
		}
		total += answered[r.name]
	}
	metrics := scrape(t, diagnostics)
	if counted := sum(t, metrics, "thymus_decisions_total"); counted != total {
		t.Errorf("%d answers, %d decisions", total, counted)
	}
	loaded := sum(t, metrics, "thymus_policy_reloads_total")
	if loaded < 2 {
		t.Errorf("%d reloads were seen of %d", loaded, reloads)
	}
	t.Logf("%d answers in %v, %d a second, none wrong; %d connections, %d reloads: %v", total, took.Round(time.Millisecond), int(float64(total)/took.Seconds()),
		opened, loaded, answered)
}

func scrape(t *testing.T, port string) string {
	t.Helper()
	resp, err := http.Get("http://127.0.0.1:" + port + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sum adds the series of a metric.
func sum(t *testing.T, metrics, name string) int {
	t.Helper()
	total := 0.0
	for line := range strings.Lines(metrics) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok && (rest[0] == '{' || rest[0] == ' ') {
			v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			if err != nil {
				t.Fatal(err)
			}
			total += v
		}
	}
	return int(total)
}
