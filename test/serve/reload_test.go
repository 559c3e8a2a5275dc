package serve_test

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"thymus/test/harness"
)

// ruleFile is one policy whose rule for the action "probe" has the given id.
func ruleFile(id string) string {
	return `{"policy_id":"probe","rules":[{"rule_id":"` + id + `","effect":"allow","conditions":[{"field":"action","operator":"==","value":"probe"}]}]}`
}

const probe = `{"agent_id":"a","action":"probe"}`

func TestAChangeIsActiveWithinTwoSeconds(t *testing.T) {
	dir := t.TempDir()
	policies := filepath.Join(dir, "p")
	file := filepath.Join(policies, "probe.json")
	harness.Write(t, file, ruleFile("v0"))
	p := startIn(t, dir, policies)
	c := client(t)
	first := p.evaluate(c, probe)
	if first.Rule != "v0" {
		t.Fatalf("%+v", first)
	}
	within := map[string]bool{}
	change := func(what, want string, how func()) {
		t.Helper()
		how()
		took := harness.Eventually(t, 30*time.Second, what, func() bool { return p.evaluate(c, probe).Rule == want })
		t.Logf("%s: active after %s", what, took)
		within[what] = within[what] || took <= 2*time.Second
	}
	// A machine that stands still makes one change late, and then another. What is late each time is the product's.
	for tries := 0; tries == 0 || tries < 4 && slices.Contains(slices.Collect(maps.Values(within)), false); tries++ {
		change("a write in place", "v1", func() {
			if err := os.WriteFile(file, []byte(ruleFile("v1")), 0o600); err != nil {
				t.Fatal(err)
			}
		})
		change("an atomic rename", "v2", func() {
			harness.Write(t, filepath.Join(dir, "new"), ruleFile("v2"))
			if err := os.Rename(filepath.Join(dir, "new"), file); err != nil {
				t.Fatal(err)
			}
		})
		change("a new folder", "v3", func() {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			harness.Write(t, filepath.Join(policies, "sub", "folder", "probe.json"), ruleFile("v3"))
		})
		change("its removal", "", func() {
			if err := os.RemoveAll(filepath.Join(policies, "sub")); err != nil {
				t.Fatal(err)
			}
		})
		change("what was there at first", "v0", func() { harness.Write(t, file, ruleFile("v0")) })
		if again := p.evaluate(c, probe); again.Revision != first.Revision {
			t.Fatalf("the same files are revision %s and %s", first.Revision, again.Revision)
		}
	}
	for what, yes := range within {
		if !yes {
			t.Errorf("%s was never active within two seconds", what)
		}
	}
}

func TestABrokenSetLeavesTheLastGoodOne(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p", "probe.json")
	harness.Write(t, file, ruleFile("good"))
	p := startIn(t, dir, filepath.Join(dir, "p"))
	c := client(t)
	harness.Write(t, file, `{"policy_id":"probe","rules":[{"rule_id":"x","effect":"maybe"}]}`)
	harness.Eventually(t, 30*time.Second, "the failure is counted", func() bool {
		return p.metric(c, `thymus_policy_reloads_total{result="failure"}`) >= 1
	})
	if d := p.evaluate(c, probe); d.Rule != "good" {
		t.Fatalf("%+v", d)
	}
	harness.Eventually(t, 30*time.Second, "the log says what is wrong", func() bool {
		log := p.Log()
		return strings.Contains(log, "maybe") && strings.Contains(log, "probe.json") && strings.Contains(log, "the last good set stays")
	})
	harness.Write(t, file, ruleFile("better"))
	harness.Eventually(t, 30*time.Second, "the next good set is taken", func() bool { return p.evaluate(c, probe).Rule == "better" })
	if n := p.metric(c, `thymus_policy_reloads_total{result="success"}`); n < 1 {
		t.Fatalf("%v successes counted", n)
	}
}

func TestSIGHUPReloadsByHand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p", "probe.json")
	harness.Write(t, file, ruleFile("one"))
	p := startIn(t, dir, "--set", "policies.watch=false", filepath.Join(dir, "p"))
	c := client(t)
	harness.Write(t, file, ruleFile("two"))
	p.Signal(syscall.SIGHUP)
	harness.Eventually(t, 30*time.Second, "the second set is taken", func() bool { return p.evaluate(c, probe).Rule == "two" })
	harness.Write(t, file, "{")
	p.Signal(syscall.SIGHUP)
	harness.Eventually(t, 30*time.Second, "the failure is counted", func() bool {
		return p.metric(c, `thymus_policy_reloads_total{result="failure"}`) == 1
	})
	if d := p.evaluate(c, probe); d.Rule != "two" {
		t.Fatalf("%+v", d)
	}
}

// thousand is a policy of 1,000 rules of which one matches "probe".
func thousand(version string) string {
	var b strings.Builder
	b.WriteString(`{"policy_id":"thousand","version":"` + version + `","rules":[`)
	for i := range 1000 {
		if i > 0 {
			b.WriteByte(',')
		}
		action := fmt.Sprintf("action_%d", i)
		if i == 500 {
			action = "probe"
		}
		fmt.Fprintf(&b, `{"rule_id":"r%d_%s","effect":"allow","conditions":[{"field":"agent_role","operator":"==","value":"operator"},{"field":"action","operator":"==","value":"%s"}]}`, i, version, action)
	}
	b.WriteString("]}")
	return b.String()
}

// latencies is what callers measured, with the moment each call ended.
type latencies struct {
	mu  sync.Mutex
	all []sampleOf
}

type sampleOf struct {
	at   time.Time
	took time.Duration
}

func (l *latencies) between(from, to time.Time) (ds []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		if !s.at.Before(from) && s.at.Before(to) {
			ds = append(ds, s.took)
		}
	}
	slices.Sort(ds)
	return ds
}

func quantile(ds []time.Duration, q float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	return ds[min(int(q*float64(len(ds))), len(ds)-1)]
}

func TestReloadUnderLoadFailsNoRequest(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p", "thousand.json")
	harness.Write(t, file, thousand("v0"))
	p := startIn(t, dir, "--set", "data.deadline=2s", filepath.Join(dir, "p"))
	c := client(t)
	const body = `{"agent_id":"a","agent_role":"operator","action":"probe"}`
	const enough = 200 // requests to say anything of
	var seen latencies
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			pause := time.NewTicker(5 * time.Millisecond) // a rate that leaves the machine room for the compiler
			defer pause.Stop()
			for {
				begin := time.Now()
				a, err := harness.Ask(c, "POST", p.URL("data")+"/v1/evaluate", body)
				if err != nil || a.Status != 200 || !strings.Contains(a.Body, `"allowed":true`) {
					t.Errorf("a request failed: %v %d %s", err, a.Status, a.Body)
					return
				}
				end := time.Now()
				seen.mu.Lock()
				seen.all = append(seen.all, sampleOf{end, end.Sub(begin)})
				seen.mu.Unlock()
				select {
				case <-stop:
					return
				case <-pause.C:
				}
			}
		})
	}
	quietFrom := time.Now()
	time.Sleep(2 * time.Second) // how long it is quiet at least
	harness.Eventually(t, time.Minute, "enough requests while it is quiet", func() bool { return len(seen.between(quietFrom, time.Now())) >= enough })
	quietTo := time.Now()
	rounds := 0
	for rounds < 5 || rounds < 50 && len(seen.between(quietTo, time.Now())) < enough {
		rounds++
		v := fmt.Sprintf("v%d", rounds)
		harness.Write(t, file, thousand(v))
		harness.Eventually(t, time.Minute, v+" is active", func() bool { return p.evaluate(c, body).Rule == "r500_"+v })
	}
	busyTo := time.Now()
	close(stop)
	callers.Wait()
	before, during := seen.between(quietFrom, quietTo), seen.between(quietTo, busyTo)
	if len(before) < enough || len(during) < enough {
		t.Fatalf("%d requests before and %d during: that shows nothing", len(before), len(during))
	}
	t.Logf("before: %d requests, p50 %s, p99 %s, max %s", len(before), quantile(before, .5), quantile(before, .99), before[len(before)-1])
	t.Logf("during %d reloads of 1,000 rules: %d requests, p50 %s, p99 %s, max %s", rounds, len(during), quantile(during, .5),
		quantile(during, .99), during[len(during)-1])
	if n := p.metric(c, `thymus_policy_reloads_total{result="success"}`); n < float64(rounds) {
		t.Fatalf("%v reloads counted", n)
	}
}

const (
	idleConnections = 10_000
	halfSent        = 200
)

func TestIdleConnectionsAndHalfSentRequestsCostOthersNothing(t *testing.T) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil || lim.Max < idleConnections+4*halfSent+500 {
		harness.Absent(t, "a limit for so many connections", fmt.Sprintf("needs %d open files, the limit is %d (%v)", idleConnections+4*halfSent+500, lim.Max, err))
	}
	p := start(t)
	c := client(t)
	rate := func(p *process) (n int, p99 time.Duration) {
		var ds []time.Duration
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			begin := time.Now()
			if a, err := harness.Ask(c, "POST", p.URL("data")+"/v1/evaluate", admin); err != nil || a.Status != 200 {
				t.Fatalf("%v %d", err, a.Status)
			}
			ds = append(ds, time.Since(begin))
		}
		slices.Sort(ds)
		return len(ds), quantile(ds, .99)
	}
	rate(p)
	var held []net.Conn
	t.Cleanup(func() {
		for _, x := range held {
			_ = x.Close()
		}
	})
	dial := func() net.Conn {
		x, err := net.Dial("tcp", p.Addr("data"))
		if err != nil {
			t.Fatalf("connection %d: %v", len(held), err)
		}
		held = append(held, x)
		return x
	}
	begin := time.Now()
	for range idleConnections {
		dial()
	}
	t.Logf("%d connections in %s", len(held), time.Since(begin))
	harness.Eventually(t, 30*time.Second, "the idle ones are open", func() bool { return p.metric(c, "thymus_connections") >= idleConnections })
	// Who is asked alone answers on the same machine, a moment later: what else that does falls on both, sooner or later.
	q := start(t)
	for try := 1; ; try++ {
		before := p.metric(c, "thymus_connections")
		for range halfSent {
			if _, err := dial().Write([]byte("POST /v1/evaluate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"agent_id\":")); err != nil {
				t.Fatal(err)
			}
		}
		harness.Eventually(t, 30*time.Second, "the half-sent requests are there", func() bool { return p.metric(c, "thymus_connections") >= before+halfSent })
		crowdN, crowd := rate(p)
		aloneN, alone := rate(q)
		t.Logf("alone: %d requests/s, p99 %s; among %d others: %d requests/s, p99 %s; resident %.0f MiB", aloneN, alone, len(held),
			crowdN, crowd, p.metric(c, "process_resident_memory_bytes")/(1<<20))
		harness.Eventually(t, time.Minute, "the half-sent requests are given up", func() bool { return p.metric(c, "thymus_connections") <= before })
		if crowdN >= aloneN/4 {
			break
		}
		if try == 4 {
			t.Errorf("%d requests/s among others, %d alone", crowdN, aloneN)
			break
		}
	}
	if n := p.metric(c, "thymus_connections"); n < idleConnections {
		t.Fatalf("%v connections are left: idle ones were given up with them", n)
	}
	begin = time.Now()
	p.Signal(syscall.SIGTERM)
	if code := p.Ends(30 * time.Second); code != 0 {
		t.Fatalf("exit %d", code)
	}
	t.Logf("drained in %s", time.Since(begin))
	if _, err := harness.Ask(&http.Client{Timeout: time.Second}, "GET", p.URL("data")+"/healthz", ""); err == nil {
		t.Fatal("somebody still answers")
	}
}
