package loop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"thymus/test/harness"
)

// probe asks for distinct things that nobody may have, until one answer comes from the quarantine, and gives how many
// the policy denied and how long the next one took to be known.
func (s *sidecar) probe(agent string, most int) (denied int, d decision) {
	s.t.Helper()
	for i := range most {
		if d = s.ask(agent, "nobody", fmt.Sprintf("open_%d", i), fmt.Sprintf("vault/%d", i)); d.Policy == "immune" {
			return denied, d
		}
		denied++
	}
	return denied, d
}

func TestAProbingAgentIsQuarantined(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "immune.mode=protect")
	if !s.ask("mallory", "admin", "read", "x").Allowed {
		t.Fatal("the agent may do nothing to begin with")
	}
	s.probe("mallory", 8)
	took := harness.Eventually(t, 30*time.Second, "the next allowed call is denied by quarantine", func() bool {
		d := s.ask("mallory", "admin", "read", "x")
		if !d.Allowed && (d.Policy != "immune" || d.Rule != "quarantine") {
			t.Fatalf("denied by %s/%s", d.Policy, d.Rule)
		}
		return !d.Allowed
	})
	t.Logf("in quarantine %s after the last denial", took)
	if !s.ask("alice", "admin", "read", "x").Allowed {
		t.Error("another agent is denied")
	}
	harness.Eventually(t, 30*time.Second, "the threat", func() bool {
		return slices.ContainsFunc(s.threats(), func(x threatItem) bool {
			return x.Type == "probing" && x.Source == "mallory" && x.Severity == "HIGH" && x.Status == "OPEN"
		})
	})
	e := s.says("quarantined the subject until ")
	if e.Agent != "mallory" || !strings.Contains(e.Message, "undo with DELETE /v1/immune/quarantine/{agent_id}?type={subject_type}") {
		t.Fatalf("no event says who, why, until when and how to undo it: %+v", s.immune())
	}
	if strings.Contains(e.Message, "mallory") {
		t.Error("the message names the agent, where no mask finds it")
	}
	var p struct {
		Mode    string
		Actions []struct{ Action, Subject string }
	}
	if s.call("GET", "/v1/immune/protection", "", &p); p.Mode != "protect" || len(p.Actions) != 1 || p.Actions[0].Subject != "agent/mallory" {
		t.Errorf("protection %+v", p)
	}
	harness.Eventually(t, 30*time.Second, "the events are journaled", func() bool {
		n := s.events()
		return n["threat.detected"] >= 1 && n["immune.event_published"] >= 1 && n["immune.self_protection_triggered"] == 1
	})
	if n := s.metric("thymus_quarantined"); n != 1 {
		t.Errorf("thymus_quarantined %v", n)
	}

	s.Kill() // the quarantine outlives the process
	s = start(t, dir, "immune.mode=protect")
	if d := s.ask("mallory", "admin", "read", "x"); d.Policy != "immune" {
		t.Fatalf("after a kill it is answered by %s/%s", d.Policy, d.Rule)
	}
	probing := func() (n int) {
		for _, x := range s.threats() {
			if x.Type == "probing" {
				n++
			}
		}
		return n
	}
	threats, before := probing(), len(s.immune())
	if code := s.call("DELETE", "/v1/immune/quarantine/mallory", "", nil); code != 204 {
		t.Fatalf("release: %d", code)
	}
	events := len(s.immune())
	if events != before+1 {
		t.Errorf("the release is told by %d immune events", events-before)
	}
	if !s.ask("mallory", "admin", "read", "x").Allowed {
		t.Error("it is denied after its release")
	}
	s.ask("mallory", "nobody", "open", "vault/1") // its windows were cleared: one denial is one
	s.Stop()
	s = start(t, dir, "immune.mode=protect") // and what the journal has of it before is not held against it
	time.Sleep(300 * time.Millisecond)       // long enough for what must not come
	if !s.ask("mallory", "admin", "read", "x").Allowed || len(s.quarantined()) != 0 {
		t.Error("a restart quarantines it again")
	}
	if a, b := probing(), len(s.immune()); a != threats || b != events {
		t.Errorf("restarts made %d threats of %d, and %d immune events of %d", a, threats, b, events)
	}
	if n := s.events()["immune.self_protection_triggered"]; n != 1 {
		t.Errorf("%d acts are on record, want 1", n)
	}
}

func TestObserveOnlySays(t *testing.T) {
	s := start(t, t.TempDir())
	if denied, d := s.probe("mallory", 30); denied != 30 {
		t.Fatalf("after %d denials: %+v", denied, d)
	}
	harness.Eventually(t, 30*time.Second, "it says what it would do", func() bool { return s.said("would quarantine the subject for 15m0s") != nil })
	if !s.ask("mallory", "admin", "read", "x").Allowed || len(s.quarantined()) != 0 {
		t.Error("it acted")
	}
	n := 0
	for _, e := range s.immune() {
		if strings.HasPrefix(e.Message, "would quarantine") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("it said so %d times of one incident", n)
	}
	if e := s.events(); e["immune.self_protection_triggered"] != 0 {
		t.Error("an act is on record")
	}
	// An operator's quarantine holds in every mode.
	if code := s.call("PUT", "/v1/immune/quarantine/mallory", `{"reason":"by hand"}`, nil); code != 200 {
		t.Fatalf("%d", code)
	}
	if d := s.ask("mallory", "admin", "read", "x"); d.Allowed || d.Reason != "by hand" {
		t.Errorf("%+v", d)
	}
	if e := s.says("quarantine by an operator"); e.Agent != "mallory" {
		t.Errorf("no event says so: %+v", s.immune())
	}
}

func TestTheBoundsOfSelfProtection(t *testing.T) {
	s := start(t, t.TempDir(), "immune.mode=protect", "immune.exempt=deployer", "immune.max_quarantined=1", "detect.fleet.at_least=50")
	s.probe("deployer", 20)
	harness.Eventually(t, 30*time.Second, "the exempt one's threat", func() bool {
		return slices.ContainsFunc(s.threats(), func(x threatItem) bool { return x.Source == "deployer" && x.Severity == "HIGH" })
	})
	s.probe("first", 20)
	harness.Eventually(t, 30*time.Second, "the first is quarantined", func() bool { return slices.Equal(s.quarantined(), []string{"agent/first"}) })
	s.probe("second", 20)
	harness.Eventually(t, 30*time.Second, "it says that there is no more room", func() bool {
		return s.said("the subject is not quarantined: self-protection has 1 quarantined already, and 1 is the most") != nil
	})
	if q := s.quarantined(); !slices.Equal(q, []string{"agent/first"}) {
		t.Errorf("quarantined: %v", q)
	}
	for _, who := range []string{"deployer", "second"} {
		if !s.ask(who, "admin", "read", "x").Allowed {
			t.Errorf("%s is denied", who)
		}
	}
	if code := s.call("PUT", "/v1/immune/quarantine/deployer", "", nil); code != 200 || len(s.quarantined()) != 2 {
		t.Errorf("an operator is held up by exemptions or bounds: %d, %v", code, s.quarantined())
	}
}

const good = `package policies.work
allow contains {"rule": "work"} if input.subject.properties.role == "worker"
`

// fleet lets agents work until ctx ends, and gives the share that was allowed of the last round.
func (s *sidecar) fleet(rounds int) (allowed int) {
	s.t.Helper()
	for range rounds {
		allowed = 0
		for i := range 40 {
			if s.ask(fmt.Sprintf("worker-%d", i), "worker", "fetch", fmt.Sprintf("item/%d", i)).Allowed {
				allowed++
			}
		}
	}
	return allowed
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A rollout that denies everybody quarantines nobody; the policies go back, whether they came from a file or by API.
func TestAPolicyThatDeniesEverybodyGoesBack(t *testing.T) {
	const denies = `package policies.work
deny contains {"rule": "oops"} if input.action.name
`
	for _, how := range []string{"by file", "by API"} {
		for _, mode := range []string{"protect", "observe"} {
			t.Run(how+" in "+mode, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "policies", "work.rego")
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				put := func(s *sidecar, text string) {
					if how == "by file" {
						write(t, path, text)
						return
					}
					if code := s.call("PUT", "/v1/policies/work", fmt.Sprintf(`{"rego":%q}`, text), nil); code != 200 && code != 201 {
						t.Fatalf("PUT: %d", code)
					}
				}
				if how == "by file" {
					write(t, path, good)
				}
				s := start(t, dir, "immune.mode="+mode, "policies.paths="+filepath.Dir(path))
				if how == "by API" {
					put(s, good)
				}
				if n := s.fleet(3); n != 40 {
					t.Fatalf("%d of 40 may work", n)
				}
				before := s.ask("worker-1", "worker", "fetch", "x").Revision
				put(s, denies)
				harness.Eventually(t, 30*time.Second, "the bad policy decides", func() bool { return s.ask("worker-1", "worker", "fetch", "x").Revision != before })
				if mode == "observe" {
					for range 25 {
						s.fleet(1)
					}
					harness.Eventually(t, 30*time.Second, "it says that it would go back", func() bool { return s.said("would return from policy revision") != nil })
					if s.fleet(1) != 0 {
						t.Error("it acted")
					}
				} else {
					harness.Eventually(t, 30*time.Second, "the policies go back", func() bool { return s.fleet(1) == 40 })
					harness.Eventually(t, 30*time.Second, "it is said", func() bool { return s.said("returned from policy revision") != nil })
					if r := s.ask("worker-1", "worker", "fetch", "x").Revision; r != before {
						t.Errorf("revision %s, want %s", r, before)
					}
					harness.Eventually(t, 30*time.Second, "it is journaled", func() bool {
						n := s.events()
						return n["policy.updated"] >= 2 && n["immune.self_protection_triggered"] > 0
					})
				}
				if q := s.quarantined(); len(q) != 0 {
					t.Errorf("quarantined: %v", q)
				}
				harness.Eventually(t, 30*time.Second, "a CRITICAL event says that the policy is suspect", func() bool {
					return slices.ContainsFunc(s.immune(), func(e immuneItem) bool {
						return e.Severity == "CRITICAL" && strings.Contains(e.Message, "the policy is suspect")
					})
				})
				if mode == "protect" && how == "by file" {
					s.Signal(syscall.SIGHUP)
					harness.Eventually(t, 30*time.Second, "SIGHUP insists on the files", func() bool { return s.ask("worker-1", "worker", "fetch", "x").Revision != before })
				}
			})
		}
	}
}

// A change that makes evaluations fail is taken back.
func TestAPolicyThatFailsGoesBack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policies", "work.rego")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, good)
	s := start(t, dir, "immune.mode=protect", "policies.paths="+filepath.Dir(path))
	s.fleet(3)
	before := s.ask("worker-1", "worker", "fetch", "x").Revision
	write(t, path, good+`
deny contains {"rule": "breaks"} if to_number(input.subject.id) > 1
`)
	harness.Eventually(t, 30*time.Second, "the bad policy decides", func() bool { return s.ask("worker-1", "worker", "fetch", "x").Revision != before })
	harness.Eventually(t, 30*time.Second, "the policies go back", func() bool { return s.fleet(1) == 40 })
	if r := s.ask("worker-1", "worker", "fetch", "x").Revision; r != before {
		t.Errorf("revision %s, want %s", r, before)
	}
	if e := s.says("returned from policy revision"); !strings.Contains(e.Message, "evaluations failed since the change") {
		t.Errorf("%+v", e)
	}
	if q := s.quarantined(); len(q) != 0 {
		t.Errorf("quarantined: %v", q)
	}
}

// Nobody has a reason to touch a decoy: one touch is enough, permitted or not.
func TestADecoyIsTouchedOnce(t *testing.T) {
	s := start(t, t.TempDir(), "immune.mode=protect", "detect.decoys=payroll")
	if !s.ask("mallory", "admin", "read", "payroll").Allowed {
		t.Fatal("the touch itself is the policy's business")
	}
	harness.Eventually(t, 30*time.Second, "who touched it is quarantined", func() bool { return slices.Equal(s.quarantined(), []string{"agent/mallory"}) })
	harness.Eventually(t, 30*time.Second, "the threat is critical", func() bool {
		return slices.ContainsFunc(s.threats(), func(x threatItem) bool { return x.Type == "decoy_touched" && x.Severity == "CRITICAL" })
	})
}

// Killed right behind the last denial, before or after it was journaled, found or stored: the next start finds it, and
// one incident stays one threat and one act.
func TestAKillLosesNoFinding(t *testing.T) {
	for round := range 8 {
		dir := t.TempDir()
		s := start(t, dir, "immune.mode=protect")
		s.probe("mallory", 8)
		time.Sleep(time.Duration(round) * 2 * time.Millisecond) // each round at another moment
		s.Kill()
		s = start(t, dir, "immune.mode=protect")
		harness.Eventually(t, 30*time.Second, "it is quarantined", func() bool { return slices.Equal(s.quarantined(), []string{"agent/mallory"}) })
		harness.Eventually(t, 30*time.Second, "its threat is there", func() bool {
			return slices.ContainsFunc(s.threats(), func(x threatItem) bool { return x.Type == "probing" })
		})
		s.Kill()
		s = start(t, dir, "immune.mode=protect")
		harness.Eventually(t, 30*time.Second, "the act is on record, and what it was for", func() bool {
			e := s.events()
			return e["immune.self_protection_triggered"] > 0 && e["threat.detected"] >= len(s.threats())
		})
		n := 0
		for _, x := range s.threats() {
			if x.Type == "probing" {
				n++
			}
		}
		if e := s.events(); n != 1 || e["immune.self_protection_triggered"] != 1 || e["threat.detected"] != len(s.threats()) {
			t.Errorf("round %d: %d threats of one incident, events %v", round, n, e)
		}
		s.Stop()
	}
}
