package loop_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"thymus/test/harness"
)

// Two sidecars see one registry. While its Redis is dead, threats are read as last known and changes are refused with
// 503, decisions and quarantine do not notice, and what was detected meanwhile is there once it is back.
func TestTwoSidecarsShareOneRegistry(t *testing.T) {
	r := harness.NewRedis(t)
	store := "threats.store=redis://" + r.Addr
	a, b := start(t, t.TempDir(), "immune.mode=protect", store), start(t, t.TempDir(), "immune.mode=protect", store)
	var made threatItem
	if code := a.call("POST", "/v1/threats", `{"type":"by_hand","source":"ops","severity":"LOW"}`, &made); code != 201 {
		t.Fatalf("%d", code)
	}
	a.probe("mallory", 20)
	found := func(s *sidecar, source string) bool {
		return slices.ContainsFunc(s.threats(), func(x threatItem) bool { return x.Source == source && x.Type == "probing" })
	}
	harness.Eventually(t, 30*time.Second, "b sees what a detected", func() bool { return found(b, "mallory") })
	if code := b.call("PATCH", "/v1/threats/"+made.ID, `{"status":"CLOSED"}`, nil); code != 200 {
		t.Fatalf("%d", code)
	}
	var got threatItem
	if a.call("GET", "/v1/threats/"+made.ID, "", &got); got.Status != "CLOSED" {
		t.Errorf("a sees %+v", got)
	}
	if code := a.call("PATCH", "/v1/threats/"+made.ID, `{"status":"OPEN"}`, nil); code != 409 {
		t.Errorf("a move back: %d", code)
	}
	harness.Eventually(t, 30*time.Second, "events are journaled where the change was made", func() bool {
		return a.events()["threat.detected"] >= 2 && b.events()["threat.mitigated"] == 1
	})
	if n := b.events()["threat.detected"]; n != 0 {
		t.Errorf("b told of %d threats that it did not find", n)
	}

	var decisions, meanwhile, slow atomic.Int64
	var away atomic.Bool
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() { // decisions go on all the while
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			begin, counts := time.Now(), away.Load()
			d, err := b.try("alice", "admin", "read", "x")
			if err != nil || !d.Allowed {
				t.Errorf("a decision while Redis is away: %v %+v", err, d)
				return
			}
			if counts && time.Since(begin) > 200*time.Millisecond {
				slow.Add(1)
			}
			if counts {
				meanwhile.Add(1)
			}
			decisions.Add(1)
		}
	}()
	r.Kill()
	away.Store(true)
	harness.Eventually(t, 30*time.Second, "it is noticed", func() bool { return b.metric("thymus_threat_store_up") == 0 })
	if len(b.threats()) < 2 {
		t.Error("the last known state is not served")
	}
	var problem struct{ Detail string }
	if code := b.call("POST", "/v1/threats", `{"type":"x","source":"y","severity":"LOW"}`, &problem); code != 503 || problem.Detail == "" {
		t.Errorf("a change while it is away: %d %q", code, problem.Detail)
	}
	b.probe("trudy", 20)
	harness.Eventually(t, 30*time.Second, "quarantine does without Redis", func() bool { return slices.Contains(b.quarantined(), "agent/trudy") })
	harness.Eventually(t, 30*time.Second, "decisions go on", func() bool { return meanwhile.Load() >= 100 || t.Failed() })
	away.Store(false)
	r.Start()
	took := harness.Eventually(t, 30*time.Second, "what was found meanwhile is there", func() bool { return found(a, "trudy") })
	if code := b.call("POST", "/v1/threats", `{"type":"x","source":"y","severity":"LOW"}`, nil); code != 201 {
		t.Errorf("a change after its return: %d", code)
	}
	close(stop)
	<-ended
	if 20*slow.Load() > meanwhile.Load() { // a machine that stands still makes one slow; waiting for Redis would make all
		t.Errorf("%d decisions while Redis was away, %d of them slow", meanwhile.Load(), slow.Load())
	}
	t.Logf("%d decisions all the while; what was found meanwhile was there %s after the return", decisions.Load(), took)
	// Two are by hand; of each agent there is the probe, and that it was denied so often.
	total := 0
	harness.Eventually(t, 30*time.Second, "every threat is told of, by one of them", func() bool {
		total = len(a.threats())
		return total >= 6 && a.events()["threat.detected"]+b.events()["threat.detected"] >= total
	})
	if n := a.events()["threat.detected"] + b.events()["threat.detected"]; n != total {
		t.Errorf("%d threats were told of %d times", total, n)
	}
}

// What was found while Redis is away outlives the process, by a stop and by a kill, longer than the journal's end is
// looked at again; and once Redis is back it is one threat, told of once.
func TestWhatWaitsForRedisOutlivesTheProcess(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(s *sidecar)
	}{
		{"a stop", func(s *sidecar) { s.Stop() }},
		{"a kill", func(s *sidecar) {
			harness.Eventually(t, 30*time.Second, "it is kept", func() bool {
				st, err := os.Stat(filepath.Join(s.dir, "state", "detect.pending"))
				return err == nil && st.Size() > 0
			})
			s.Kill()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := harness.NewRedis(t)
			dir := t.TempDir()
			set := []string{"immune.mode=protect", "threats.store=redis://" + r.Addr, "detect.denials.enabled=false"}
			s := start(t, dir, set...)
			r.Kill()
			harness.Eventually(t, 30*time.Second, "it is noticed", func() bool { return s.metric("thymus_threat_store_up") == 0 })
			s.probe("trudy", 20)
			harness.Eventually(t, 30*time.Second, "quarantine does without Redis", func() bool { return slices.Contains(s.quarantined(), "agent/trudy") })
			c.end(s)
			if err := os.RemoveAll(filepath.Join(dir, "state", "journal")); err != nil { // what happened is longer ago than a start looks back
				t.Fatal(err)
			}
			r.Start()
			s = start(t, dir, set...)
			harness.Eventually(t, 30*time.Second, "the threat is there", func() bool {
				x := s.threats()
				return len(x) == 1 && x[0].Source == "trudy" && x[0].Type == "probing"
			})
			harness.Eventually(t, 30*time.Second, "it is told of", func() bool { return s.events()["threat.detected"] == 1 })
			harness.Eventually(t, 30*time.Second, "nothing waits any more", func() bool {
				_, err := os.Stat(filepath.Join(dir, "state", "detect.pending"))
				return errors.Is(err, fs.ErrNotExist)
			})
			if x := s.immune(); len(x) != 1 {
				t.Errorf("acted again: %+v", x)
			}
		})
	}
}
