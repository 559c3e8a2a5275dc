package serve_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"thymus/test/harness"
)

const admin = `{"agent_id":"a","agent_role":"admin","action":"deploy"}`

func TestTheReadyLineAndTheFourSurfaces(t *testing.T) {
	p := start(t)
	c := client(t)
	if _, ok := p.Ready["policy_revision"].(string); !ok || p.Ready["instance"] == "" || p.Ready["level"] != "info" {
		t.Fatalf("%v", p.Ready)
	}
	t.Logf("ready %s after exec", p.Took)
	data := p.URL("data")
	for _, x := range []struct{ name, method, path, body, has string }{
		{"native", "POST", "/v1/evaluate", admin, `"matched_rule":"admin_allow_all"`},
		{"native batch", "POST", "/v1/evaluate/batch", `{"evaluations":[` + admin + `]}`, `{"results":[{"allowed":true`},
		{"AuthZEN", "POST", "/access/v1/evaluation", `{"subject":{"type":"user","id":"a","properties":{"role":"admin"}},"action":{"name":"x"},"resource":{"type":"t","id":"i"}}`, `{"decision":true`},
		{"AuthZEN batch", "POST", "/access/v1/evaluations", `{"subject":{"type":"user","id":"a"},"resource":{"type":"t","id":"i"},"evaluations":[{"action":{"name":"x"}}]}`, `{"evaluations":[{"decision":false}]}`},
		{"AuthZEN metadata", "GET", "/.well-known/authzen-configuration", "", `"policy_decision_point":"` + data + `"`},
		{"OPA's Data API", "POST", "/v1/data/policies/admin_full_access/allow", `{"input":{"subject":{"properties":{"role":"admin"}}}}`, `"rule":"admin_allow_all"`},
		{"readiness", "GET", "/readyz", "", `"policies":"ok"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := p.do(c, x.method, data+x.path, x.body)
			if a.Status != 200 || !strings.Contains(a.Body, x.has) {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		})
	}
	if n := p.metric(c, `thymus_decisions_total{effect="allow",surface="native"}`); n != 2 {
		t.Fatalf("%v native permits counted", n)
	}
	if n := p.metric(c, `thymus_policy_info{revision="`+p.Ready["policy_revision"].(string)+`"}`); n != 1 {
		t.Fatalf("policy_info %v", n)
	}
	if n := p.metric(c, `thymus_request_duration_seconds_count{surface="authzen"}`); n != 2 {
		t.Fatalf("%v AuthZEN requests timed", n)
	}
}

func TestTheDataAPITakesYAML(t *testing.T) {
	p := start(t)
	c := client(t)
	for _, x := range []struct {
		name, body string
		status     int
		has        string
	}{
		{"in block style", "input:\n  subject:\n    properties:\n      role: admin\n", 200, `"rule":"admin_allow_all"`},
		{"in flow style", "{input: {subject: {properties: {role: admin}}}}", 200, `"rule":"admin_allow_all"`},
		{"as JSON", `{"input":{"subject":{"properties":{"role":"admin"}}}}`, 200, `"rule":"admin_allow_all"`},
		{"after a marker", "---\ninput: {subject: {properties: {role: admin}}}\n", 200, `"rule":"admin_allow_all"`},
		{"that is broken", "input: [", 400, `"code": "invalid_parameter"`},
		{"that grows by its aliases", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\ninput: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", 400, `"code": "invalid_parameter"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := p.do(c, "POST", p.URL("data")+"/v1/data/policies/admin_full_access/allow", x.body, "Content-Type", "application/x-yaml")
			if a.Status != x.status || !strings.Contains(a.Body, x.has) {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		})
	}
}

func TestStateIsKeptAndOneProcessHasIt(t *testing.T) {
	dir := t.TempDir()
	p := startIn(t, dir)
	if fi, err := os.Stat(p.dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Fatalf("%v %v", fi.Mode(), err)
	}
	if fi, err := os.Stat(filepath.Join(p.dir, "management.token")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("%v", err)
	}
	said, code := refused(t, dir, "--set", "data.listen=127.0.0.1:0", "--set", "management.listen=127.0.0.1:0")
	if code != 2 || !strings.Contains(said, `key "dir"`) || !strings.Contains(said, "another process uses it") {
		t.Fatalf("exit %d: %s", code, said)
	}
	instance := p.Ready["instance"]
	p.Signal(syscall.SIGTERM)
	if code := p.Ends(30 * time.Second); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if again := startIn(t, dir); again.Ready["instance"] != instance {
		t.Fatalf("%v became %v", instance, again.Ready["instance"])
	}
}

func TestRefusedStarts(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(dir, "p")
	harness.Write(t, filepath.Join(policy, "broken.rego"), "package policies.broken\n\nallow contains \"a\" if {\n\tinput.x ==\n}\n")
	harness.Write(t, filepath.Join(policy, "bad.json"), `{"policy_id":"bad","rules":[{"rule_id":"r","effect":"perhaps"},{"rule_id":"s","effect":"deny","conditions":[{"field":"action","operator":"matches","value":"("}]}]}`)
	harness.Write(t, filepath.Join(dir, "empty"), "")
	harness.Write(t, filepath.Join(dir, "good"), "secret")
	const ports = "data.listen=127.0.0.1:0"
	for _, x := range []struct {
		name string
		args []string
		want []string
	}{
		{"an unknown key", []string{"--set", "data.listne=x"}, []string{`"data.listne"`, `"data.listen"`}},
		{"a bad value", []string{"--set", "data.deadline=fast"}, []string{"data.deadline", "duration"}},
		{"a policy path that is not there", []string{filepath.Join(dir, "none")}, []string{"policies.paths", "does not exist"}},
		{"policies that do not compile, every problem named", []string{policy}, []string{"broken.rego", "bad.json", "perhaps", "conditions[0]"}},
		{"an entrypoint that nothing defines", []string{"--set", "policies.entrypoint=no/where"}, []string{"policies.entrypoint", "no/where"}},
		{"a listener off loopback", []string{"--set", "data.listen=0.0.0.0:0"}, []string{"data.listen", "data.insecure"}},
		{"management off loopback", []string{"--set", "management.listen=0.0.0.0:0", "--set", ports}, []string{"management.listen", "management.insecure"}},
		{"an empty token", []string{"--set", "data.token_file=" + filepath.Join(dir, "empty")}, []string{"data.token_file", "empty"}},
		{"a certificate that is none", []string{"--set", ports, "--set", "data.tls.cert=" + filepath.Join(dir, "good"), "--set", "data.tls.key=" + filepath.Join(dir, "good")}, []string{"data.tls", "PEM"}},
		{"a socket's name that is taken by a file", []string{"--set", ports, "--set", "data.socket=" + filepath.Join(dir, "good")}, []string{"data.socket", "no socket"}},
		{"a glob that is none", []string{"--set", "data.opa.paths=a//b"}, []string{"data.opa.paths", "empty segment"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			said, code := refused(t, t.TempDir(), append([]string{"--set", "management.listen=127.0.0.1:0"}, x.args...)...)
			if code != 2 {
				t.Errorf("exit %d", code)
			}
			for _, w := range x.want {
				if !strings.Contains(said, w) {
					t.Errorf("%q is not in: %s", w, said)
				}
			}
		})
	}
	t.Run("a taken port", func(t *testing.T) {
		p := start(t)
		said, code := refused(t, t.TempDir(), "--set", "data.listen="+p.Addr("data"), "--set", "management.listen=127.0.0.1:0")
		if code != 2 || !strings.Contains(said, "data.listen") || !strings.Contains(said, "address already in use") {
			t.Fatalf("exit %d: %s", code, said)
		}
	})
}

// slowly takes as long to evaluate as the square of params.n.
const slowly = `package policies.slow

allow contains "after_all" if {
	input.action.name == "slow"
	xs := numbers.range(1, input.action.properties.n)
	count([1 | some x in xs; some y in xs; x * y == 7]) == 2
}
`

func TestDrain(t *testing.T) {
	dir := t.TempDir()
	harness.Write(t, filepath.Join(dir, "p", "slow.rego"), slowly)
	p := startIn(t, dir, "--set", "data.deadline=8s", "--set", "data.drain_delay=500ms", filepath.Join(dir, "p"))
	c := client(t)
	slow := ""
	for n := 200; ; n = n * 3 / 2 { // engines differ by far in speed, and so do machines
		slow = `{"agent_id":"a","action":"slow","params":{"n":` + itoa(n) + `}}`
		begin := time.Now()
		if d := p.evaluate(c, slow); d.Rule != "after_all" {
			t.Fatalf("n %d: %+v", n, d)
		}
		if time.Since(begin) > 400*time.Millisecond {
			break
		}
	}
	const inFlight = 3
	open := p.metric(c, "thymus_connections")
	answers := make(chan harness.Answer, inFlight)
	for range inFlight {
		go func() {
			a, err := harness.Ask(client(t), "POST", p.URL("data")+"/v1/evaluate", slow)
			if err != nil {
				a.Body = err.Error()
			}
			answers <- a
		}()
	}
	idle := client(t)
	p.do(idle, "GET", p.URL("data")+"/healthz", "")
	harness.Eventually(t, 30*time.Second, "all have been heard", func() bool {
		return len(answers) > 0 || p.metric(c, "thymus_connections") >= open+inFlight+1
	})
	p.Signal(syscall.SIGTERM)
	for range inFlight {
		if a := <-answers; a.Status != 200 || !strings.Contains(a.Body, "after_all") {
			t.Errorf("in flight: %d %s", a.Status, a.Body)
		}
	}
	if code := p.Ends(30 * time.Second); code != 0 {
		t.Fatalf("exit %d\n%s", code, p.Log())
	}
	if _, err := harness.Ask(idle, "GET", p.URL("data")+"/healthz", ""); err == nil {
		t.Fatal("somebody still answers")
	}
}

// The delay is far longer than a machine may take to get round to things.
func TestWhileItDrainsOnlyReadinessFailsAndASecondSignalEndsAtOnce(t *testing.T) {
	p := start(t, "--set", "data.drain_delay=10m")
	p.Signal(syscall.SIGTERM)
	c := client(t)
	for _, plane := range []string{"data", "management"} {
		harness.Eventually(t, 30*time.Second, plane+": readiness fails", func() bool {
			a, err := harness.Ask(c, "GET", p.URL(plane)+"/readyz", "")
			return err == nil && a.Status == 503 && strings.Contains(a.Body, "going away")
		})
	}
	if a, err := harness.Ask(c, "POST", p.URL("data")+"/v1/evaluate", admin); err != nil || a.Status != 200 {
		t.Fatalf("a decision during the drain delay: %v %d", err, a.Status)
	}
	begin := time.Now()
	p.Signal(syscall.SIGINT)
	if code := p.Ends(time.Minute); code == 0 {
		t.Fatalf("exit %d after %s", code, time.Since(begin))
	}
}

func TestUnixSocketPeersAreTheKernelsWord(t *testing.T) {
	dir := t.TempDir()
	harness.Write(t, filepath.Join(dir, "p", "peer.rego"), `package policies.peer

allow contains {"rule": "the_kernel_says", "reason": sprintf("%s %d %d", [input.peer.transport, input.peer.uid, input.peer.gid])} if input.peer.pid > 0
`)
	socket := filepath.Join(dir, "s")
	p := startIn(t, dir, "--set", "data.socket="+socket, "--set", "data.socket_mode=0600", "--set", "data.listen=", filepath.Join(dir, "p"))
	if fi, err := os.Stat(socket); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("%v", err)
	}
	c := unixClient(t, socket)
	a := p.do(c, "POST", "http://thymus/v1/evaluate", `{"agent_id":"a","action":"x","peer":{"uid":99999}}`)
	var d struct{ Reason string }
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil {
		t.Fatal(err)
	}
	if want := strings.Join([]string{"unix", itoa(os.Getuid()), itoa(os.Getgid())}, " "); d.Reason != want {
		t.Fatalf("%q, want %q", d.Reason, want)
	}
}

func TestTheManagementTokenMayBeRotated(t *testing.T) {
	p := start(t)
	c := client(t)
	file := filepath.Join(p.dir, "management.token")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info := func(token string) int {
		return p.do(c, "GET", p.URL("management")+"/v1/info", "", "Authorization", "Bearer "+token).Status
	}
	old := strings.TrimSpace(string(b))
	if got := info(old); got != http.StatusOK {
		t.Fatalf("got %d", got)
	}
	harness.Write(t, file, "another-one\n")
	harness.Eventually(t, 30*time.Second, "the change is said", func() bool { return strings.Contains(p.Log(), "changed file taken") })
	if got := info("another-one"); got != http.StatusOK {
		t.Fatalf("the new token gets %d", got)
	}
	if got := info(old); got != http.StatusUnauthorized {
		t.Fatalf("the old token gets %d", got)
	}
}

func TestTheInfoNamesTheEngineThatAnswers(t *testing.T) {
	for _, engine := range []string{"native", "topdown"} {
		p := start(t, "--set", "rules.engine="+engine)
		token, err := os.ReadFile(filepath.Join(p.dir, "management.token"))
		if err != nil {
			t.Fatal(err)
		}
		a := p.do(client(t), "GET", p.URL("management")+"/v1/info", "", "Authorization", "Bearer "+strings.TrimSpace(string(token)))
		if !strings.Contains(a.Body, `"engine":"`+engine+` (OPA v`) {
			t.Errorf("rules.engine %s: got %s", engine, a.Body)
		}
	}
}
