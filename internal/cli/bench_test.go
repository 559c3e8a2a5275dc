package cli_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The body of the sidecar of these tests denies natively and permits over AuthZEN.
func TestBenchPrintsWhatTheContractNames(t *testing.T) {
	s := httptest.NewServer(sidecar(t))
	defer s.Close()
	out, stderr, code := call{args: "bench -o json --rate 200 --duration 500ms --warmup 100ms --connections 4 --expect deny --url " + s.URL,
		argv: []string{"--body", `{"agent_id":"a","action":"b"}`}}.run(t)
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	var r struct {
		Asked, Sent, OK, Errors, Wrong *uint64
		Rate                           *float64
		Latency                        map[string]float64 `json:"latency_ms"`
		Lateness                       *float64           `json:"lateness_ms"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Asked == nil || r.Sent == nil || r.OK == nil || r.Errors == nil || r.Wrong == nil || r.Rate == nil || r.Lateness == nil {
		t.Fatalf("a member is missing: %s", out)
	}
	for _, p := range []string{"p50", "p90", "p99", "p99.9", "max"} {
		if r.Latency[p] <= 0 {
			t.Errorf("latency_ms.%s is %v", p, r.Latency[p])
		}
	}
	if *r.Asked != 100 || *r.OK == 0 || *r.Wrong > 0 || *r.Errors > 0 {
		t.Errorf("%s", out)
	}
}

func TestBenchExits(t *testing.T) {
	s := httptest.NewServer(sidecar(t))
	defer s.Close()
	short := "bench --duration 100ms --warmup 0s -c 2 --rate 100 "
	for _, c := range []struct {
		name, args string
		argv       []string
		stdin      string
		code       int
		says       string // on either output
	}{
		{name: "a permit that was expected", args: short + "--target authzen --expect permit --url " + s.URL, says: "latency"},
		{name: "wrong decisions alone are no success", args: short + "--expect permit --url " + s.URL, code: 1, says: "nothing succeeded"},
		{name: "errors alone are no success", args: short + "--url " + s.URL, argv: []string{"--body", "bad"}, code: 1, says: "nothing succeeded"},
		{name: "nobody there", args: short + "--url http://127.0.0.1:1", code: 1, says: "refused"},
		{name: "nobody there, for a program", args: short + "-o json --url unix://DIR/nobody", code: 1, says: `"ok": 0`},
		{name: "calls from standard input", args: short + "--body @- --expect deny --url " + s.URL, stdin: "{\"agent_id\":\"a\"}\n\n{}\n", says: "latency"},
		{name: "no call on standard input", args: short + "--body @- --url " + s.URL, stdin: "\n", code: 2, says: "no call"},
		{name: "no URL", args: short, code: 2, says: "--url"},
		{name: "a URL of another kind", args: short + "--url ftp://a", code: 2, says: "expected http://"},
		{name: "an unknown workload", args: short + "--workload acl --url " + s.URL, code: 2, says: "expected one of"},
		{name: "an unknown target", args: short + "--target soap --url " + s.URL, code: 2, says: "expected one of native"},
		{name: "no connection", args: "bench -c 0 --url " + s.URL, code: 2, says: "connections"},
		{name: "a rate that is no number", args: "bench --rate NaN --url " + s.URL, code: 2, says: "rate"},
		{name: "a knee without a rate to begin with", args: "bench --knee 2ms --rate 0 --url " + s.URL, code: 2, says: "a rate of more than 0"},
		{name: "a knee before it began", args: "bench --knee -2ms --url " + s.URL, code: 2, says: "a bound of more than 0s"},
		{name: "a knee up to no number", args: "bench --knee 2ms --max-rate NaN --url " + s.URL, code: 2, says: "largest rate"},
		{name: "a header that is none", args: short + "-H x --url " + s.URL, code: 2, says: "name: value"},
		{name: "a proxy asks about paths", args: short + "--workload rbac --target http --url " + s.URL, code: 2, says: "path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, stderr, code := call{args: c.args, argv: c.argv, stdin: c.stdin}.run(t)
			if code != c.code || !strings.Contains(out+stderr, c.says) {
				t.Errorf("exit %d, expected %d and %q:\n%s%s", code, c.code, c.says, out, stderr)
			}
		})
	}
}

func TestBenchWritesPagesAndPolicies(t *testing.T) {
	s := httptest.NewServer(sidecar(t))
	defer s.Close()
	dir := t.TempDir()
	page := filepath.Join(dir, "page.html")
	if out, stderr, code := (call{args: "bench --duration 100ms --warmup 0s --rate 100 -c 2 --html " + page + " --url " + s.URL}).run(t); code != 0 {
		t.Fatalf("exit %d: %s%s", code, out, stderr)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "<svg") {
		t.Errorf("%v: %.100s", err, text)
	}
	policies := filepath.Join(dir, "policies")
	if out, stderr, code := (call{args: "bench --workload abac --size 10 --write-policy " + policies}).run(t); code != 0 || !strings.Contains(out, "bench.rego") {
		t.Fatalf("exit %d: %s%s", code, out, stderr)
	}
	if out, stderr, code := (call{args: "policy validate " + policies}).run(t); code != 0 {
		t.Errorf("the policy is not valid: exit %d: %s%s", code, out, stderr)
	}
}
