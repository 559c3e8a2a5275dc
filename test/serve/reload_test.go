package serve_test

import (
	"fmt"
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
	change := func(what, want string, how func()) {
		t.Helper()
		how()
		took := harness.Eventually(t, 2*time.Second, what, func() bool { return p.evaluate(c, probe).Rule == want })
		t.Logf("%s: active after %s", what, took)
	}
	change("a write in place", "v1", func() { harness.Write(t, file, ruleFile("v1")) })
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

func TestABrokenSetLeavesTheLastGoodOne(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p", "probe.json")
	harness.Write(t, file, ruleFile("good"))
	p := startIn(t, dir, filepath.Join(dir, "p"))
	c := client(t)
	harness.Write(t, file, `{"policy_id":"probe","rules":[{"rule_id":"x","effect":"maybe"}]}`)
	harness.Eventually(t, 4*time.Second, "the failure is counted", func() bool {
		return p.metric(c, `thymus_policy_reloads_total{result="failure"}`) >= 1
	})
	if d := p.evaluate(c, probe); d.Rule != "good" {
		t.Fatalf("%+v", d)
	}
	if log := p.Log(); !strings.Contains(log, "maybe") || !strings.Contains(log, "probe.json") || !strings.Contains(log, "the last good set stays") {
		t.Fatalf("the log does not say what is wrong:\n%s", log)
	}
	harness.Write(t, file, ruleFile("better"))
	harness.Eventually(t, 4*time.Second, "the next good set is taken", func() bool { return p.evaluate(c, probe).Rule == "better" })
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
	harness.Eventually(t, 4*time.Second, "the second set is taken", func() bool { return p.evaluate(c, probe).Rule == "two" })
	harness.Write(t, file, "{")
	p.Signal(syscall.SIGHUP)
	harness.Eventually(t, 4*time.Second, "the failure is counted", func() bool {
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
	time.Sleep(2 * time.Second) // how long it is quiet
	quietTo := time.Now()
	const rounds = 5
	for i := range rounds {
		v := fmt.Sprintf("v%d", i+1)
		harness.Write(t, file, thousand(v))
		harness.Eventually(t, 10*time.Second, v+" is active", func() bool { return p.evaluate(c, body).Rule == "r500_"+v })
	}
	busyTo := time.Now()
	close(stop)
	callers.Wait()
	before, during := seen.between(quietFrom, quietTo), seen.between(quietTo, busyTo)
	if len(before) < 200 || len(during) < 200 {
		t.Fatalf("%d requests before and %d during: that shows nothing", len(before), len(during))
	}
	t.Logf("before: %d requests, p50 %s, p99 %s, max %s", len(before), quantile(before, .5), quantile(before, .99), before[len(before)-1])
	t.Logf("during %d reloads of 1,000 rules: %d requests, p50 %s, p99 %s, max %s", rounds, len(during), quantile(during, .5),
		quantile(during, .99), during[len(during)-1])
	if n := p.metric(c, `thymus_policy_reloads_total{result="success"}`); n < rounds {
		t.Fatalf("%v reloads counted", n)
	}
}

const (
	idleConnections = 10_000
	halfSent        = 200
)

func TestIdleConnectionsAndHalfSentRequestsCostOthersNothing(t *testing.T) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil || lim.Max < idleConnections+halfSent+500 {
		harness.Absent(t, "a limit for so many connections", fmt.Sprintf("needs %d open files, the limit is %d (%v)", idleConnections+halfSent+500, lim.Max, err))
	}
	p := start(t)
	c := client(t)
	rate := func() (n int, p99 time.Duration) {
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
	rate()
	aloneN, alone := rate()
	var held []net.Conn
	t.Cleanup(func() {
		for _, x := range held {
			_ = x.Close()
		}
	})
	begin := time.Now()
	for i := range idleConnections + halfSent {
		x, err := net.Dial("tcp", p.Addr("data"))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		held = append(held, x)
		if i >= idleConnections {
			if _, err := x.Write([]byte("POST /v1/evaluate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"agent_id\":")); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d connections in %s", len(held), time.Since(begin))
	harness.Eventually(t, 10*time.Second, "all are open", func() bool {
		return p.metric(c, "thymus_connections") >= idleConnections+halfSent
	})
	crowdN, crowd := rate()
	t.Logf("alone: %d requests/s, p99 %s; among %d others: %d requests/s, p99 %s; resident %.0f MiB", aloneN, alone, len(held),
		crowdN, crowd, p.metric(c, "process_resident_memory_bytes")/(1<<20))
	if crowdN < aloneN/4 {
		t.Errorf("%d requests/s among others, %d alone", crowdN, aloneN)
	}
	harness.Eventually(t, 30*time.Second, "the half-sent requests are given up", func() bool {
		return p.metric(c, "thymus_connections") < idleConnections+halfSent
	})
	if n := p.metric(c, "thymus_connections"); n < idleConnections {
		t.Fatalf("%v connections are left: idle ones were given up with them", n)
	}
	begin = time.Now()
	p.Signal(syscall.SIGTERM)
	if code := p.Ends(10 * time.Second); code != 0 {
		t.Fatalf("exit %d", code)
	}
	t.Logf("drained in %s", time.Since(begin))
	if _, err := harness.Ask(&http.Client{Timeout: time.Second}, "GET", p.URL("data")+"/healthz", ""); err == nil {
		t.Fatal("somebody still answers")
	}
}
