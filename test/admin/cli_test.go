package admin_test

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/test/harness"
)

// cli runs a command against the sidecar.
func (s *sidecar) cli(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	args = append(args, "--management", s.management, "--token-file", filepath.Join(s.dir, "state", "management.token"))
	cmd := exec.CommandContext(s.t.Context(), binary, args...)
	cmd.Dir, cmd.Env = s.dir, []string{"HOME=" + s.dir}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			s.t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	return out.String(), errs.String(), code
}

func TestTheCommandLineManagesARunningSidecar(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	harness.Write(t, filepath.Join(dir, "p", "spending.json"), spending)
	harness.Write(t, filepath.Join(dir, "p", "night.rego"), module)
	harness.Write(t, filepath.Join(dir, "p", "night_test.rego"), "package x")
	harness.Write(t, filepath.Join(dir, "p", "readme.txt"), "none")
	harness.Write(t, filepath.Join(dir, "bad.yaml"), "policy_id: bad\nrules:\n- {rule_id: r, effect: alow}\n")
	harness.Write(t, filepath.Join(dir, "lib.rego"), "package policies.lib\n\nf := 1\n")
	harness.Write(t, filepath.Join(dir, "more.json"), strings.Replace(spending, `"value":100`, `"value":200`, 1))
	threat := s.must(201, "POST", "/v1/threats", `{"type":"probe","source":"waf","severity":"HIGH"}`).Field("threat_id").(string)
	for _, x := range []struct {
		name string
		args string
		code int
		out  []string // in standard output
		err  string   // in standard error
	}{
		{"a folder is applied", "policy apply p", 0, []string{"spending  created  1", "night     created  1"}, ""},
		{"again nothing changes", "policy apply p", 0, []string{"spending  unchanged  1", "night     unchanged  1"}, ""},
		{"a bad one is refused by itself", "policy apply bad.yaml more.json", 1, []string{"bad refused -", "spending updated 2"}, "bad.yaml: policy bad: rule r: rules[0].effect: expected allow"},
		{"as JSON", "policy apply more.json -o json", 0, []string{`"outcome": "unchanged"`, `"revision": 2`}, ""},
		{"all are listed", "policy list", 0, []string{"spending", "api:spending", "admin_full_access", "builtin:"}, ""},
		{"as JSON with what the API says", "policy list -o json", 0, []string{`"read_only": true`, `"policy_id": "night"`}, ""},
		{"a source is Rego", "policy get night", 0, []string{module}, ""},
		{"or lines of JSON without the server's words", "policy get spending", 0, []string{"  \"policy_id\": \"spending\",\n", `"value": 200`}, ""},
		{"or what it was", "policy get spending --revision 1", 0, []string{`"value": 100`}, ""},
		{"the document is complete", "policy get spending -o json", 0, []string{`"updated_by": "token"`}, ""},
		{"the last change", "policy diff spending", 1, []string{"--- spending revision 1\n+++ spending\n", "-          \"value\": 100\n+          \"value\": 200\n", "@@ -"}, ""},
		{"the last change for programs", "policy diff spending -o json", 1, []string{`"differs": true`, `"old": "spending revision 1"`}, ""},
		{"two revisions", "policy diff spending 2 2", 0, []string{""}, ""},
		{"a file", "policy diff spending --file p/spending.json", 1, []string{"+          \"value\": 100\n"}, ""},
		{"a rollback", "policy rollback spending 1", 0, []string{"spending is at revision 3"}, ""},
		{"a rollback of what has moved on", "policy rollback spending 1 --if-revision 2", 2, nil, "412"},
		{"the history", "policy history spending", 0, []string{"3 rolled_back to 1", "1 created", "token"}, ""},
		{"what a policy did", "policy stats spending", 0, []string{"evaluations 0", "small 0 0 -"}, ""},
		{"what all did", "policy stats", 0, []string{"total_policies 4"}, ""},
		{"a library is refused", "policy apply lib.rego", 1, []string{"lib refused"}, "library"},
		{"a missing argument", "policy rollback spending", 2, nil, "REVISION is missing"},
		{"a revision that is none", "policy get spending --revision -1", 2, nil, "expected a number from 1"},
		{"the state of a running sidecar is its own", "policy list --stored --set dir=state", 2, nil, "--stored goes with neither"},
		{"a stale deletion", "policy delete spending --if-revision 1", 2, nil, "412"},
		{"a deletion", "policy delete spending", 0, []string{"spending deleted"}, ""},
		{"of nothing", "policy delete spending", 2, nil, "404"},
		{"one refusal does not keep the others", "policy delete none night", 2, []string{"night deleted"}, "none: http"},
		{"what is gone may be", "policy delete night --ignore-not-found -o json", 0, []string{`"outcome": "absent"`}, ""},
		{"of what is built in", "policy delete admin_full_access", 2, nil, "policies.builtin"},
		{"a file that is none", "policy apply none.json", 2, nil, "none.json"},
		{"threats", "threats list --severity high", 0, []string{threat, "HIGH", "probe"}, ""},
		{"no threats", "threats list --status closed -o json", 0, []string{`"items": []`}, ""},
		{"a threat", "threats show " + threat, 0, []string{"severity     HIGH\n", "resolution   -\n"}, ""},
		{"resolved", "threats resolve " + threat + " --resolution blocked", 0, []string{"RESOLVED", "blocked"}, ""},
		{"is final", "threats resolve " + threat + " --status closed", 2, nil, "final"},
		{"an unknown threat", "threats show x", 2, nil, "404"},
		{"quarantine", "immune quarantine add a/1 --reason spy --ttl 1h", 0, []string{"agent a/1 is quarantined until 2"}, ""},
		{"who is in it", "immune quarantine list", 0, []string{"a/1", "operator", "spy"}, ""},
		{"release", "immune quarantine remove a/1", 0, []string{"agent a/1 is released"}, ""},
		{"of who is free", "immune quarantine remove a/1", 2, nil, "404"},
		{"health", "immune health", 0, []string{"0 active issues in the last 60 minutes"}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			out, errs, code := s.cli(strings.Fields(x.args)...)
			if code != x.code || !strings.Contains(errs, x.err) || x.err == "" && errs != "" {
				t.Fatalf("exit %d\n%s\n%s", code, out, errs)
			}
			for _, want := range x.out {
				if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
					t.Errorf("without %q:\n%s", want, out)
				}
			}
		})
	}
	s.must(201, "POST", "/v1/immune/events", `{"severity":"CRITICAL","type":"AGENT_FAILURE","message":"gone","agent_id":"a"}`)
	if out, _, code := s.cli("immune", "health"); code != 1 || !strings.Contains(out, "1 of them critical") || !strings.Contains(out, "AGENT_FAILURE") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestTheCommandLineFindsTheSidecarByItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	cmd := exec.CommandContext(t.Context(), binary, "policy", "list", "--running", "--set", "dir="+filepath.Join(dir, "state"),
		"--set", "management.listen="+strings.TrimPrefix(s.management, "http://"))
	cmd.Env = []string{"HOME=" + dir}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "guest_read_only") {
		t.Fatalf("%v: %s", err, out)
	}
}

// thymus runs a command without a sidecar.
func thymus(t *testing.T, dir string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir}
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func TestAStoredPolicyThatKeepsASidecarFromStartingIsTakenOut(t *testing.T) {
	dir := t.TempDir()
	at := []string{"--set", "dir=" + filepath.Join(dir, "state")}
	s := start(t, dir)
	s.must(201, "POST", "/v1/policies", spending)
	s.must(201, "PUT", "/v1/policies/night", module, "Content-Type", "text/plain")
	if out, code := thymus(t, dir, append([]string{"policy", "list", "--stored"}, at...)...); code != 2 || !strings.Contains(out, "a sidecar is running on it") {
		t.Fatalf("exit %d: %s", code, out)
	}
	s.Kill()
	harness.Write(t, filepath.Join(dir, "policies", "spend.yaml"), "policy_id: spending\nrules:\n- rule_id: file\n  effect: allow\n")
	out, code := thymus(t, dir, append([]string{"serve", "--set", "events.ring.path=" + dir, "--set", "events.ring.size=4MiB", "--set", "data.listen=127.0.0.1:0",
		"--set", "management.listen=127.0.0.1:0", "policies"}, at...)...)
	if code != 2 || !strings.Contains(out, "is already defined by") || !strings.Contains(out, "thymus policy delete spending --stored") {
		t.Fatalf("exit %d: %s", code, out)
	}
	for _, x := range []struct {
		name string
		args string
		code int
		has  string
	}{
		{"a list", "policy list --stored", 0, "spending"},
		{"its source", "policy get night --stored", 0, module},
		{"in lines of JSON", "policy get spending --stored", 0, "  \"policy_id\": \"spending\""},
		{"all or none", "policy delete spending none --stored", 2, "none: no such policy"},
		{"with a flag of a running one", "policy delete spending --stored --if-revision 1", 2, "--stored goes with neither"},
		{"taken out", "policy delete spending --stored", 0, "spending deleted"},
		{"once", "policy delete spending --stored", 2, "no such policy"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if out, code := thymus(t, dir, append(strings.Fields(x.args), at...)...); code != x.code || !strings.Contains(out, x.has) {
				t.Fatalf("exit %d: %s", code, out)
			}
		})
	}
	s = start(t, dir, "policies")
	if ok, rule := s.decide(buy); !ok || rule != "file" {
		t.Fatalf("%t by %q", ok, rule)
	}
	harness.Eventually(t, 30*time.Second, "the event of what was taken out", func() bool { return len(s.events("policy.deleted")) == 1 })
	if a := s.must(200, "GET", "/v1/policies/spending/revisions", ""); !strings.Contains(a.Body, `"updated_by":"offline"`) {
		t.Fatal(a.Body)
	}
	s.must(200, "GET", "/v1/policies/night", "")
}

func TestTheShellCompletesIDs(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(201, "POST", "/v1/policies", spending)
	token := filepath.Join(s.dir, "state", "management.token")
	for args, want := range map[string]string{
		"policy get --management " + s.management + " --token-file " + token: "spending\tSpending\n",
		"policy rollback spending":         ":4\n",
		"policy get --management http://h": ":4\n", // nobody is there, and nothing hangs
		"policy list -o":                   "json\n",
		"threats list --severity":          "CRITICAL\n",
	} {
		if out, code := thymus(t, s.dir, append(append([]string{"__complete"}, strings.Fields(args)...), "")...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d: %s", args, code, out)
		}
	}
}
