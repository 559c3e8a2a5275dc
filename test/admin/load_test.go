package admin_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestChangesUnderLoadFailNoDecision makes 100 changes a second while decisions are asked for at a steady rate, among few
// policies and among many: every decision is answered, and by a whole set. It reports the latency beside that of a quiet
// sidecar; two processors shared with the callers say little about the figure, so that the bound on it is wide.
func TestChangesUnderLoadFailNoDecision(t *testing.T) {
	for _, kept := range []int{20, 1000} {
		t.Run(fmt.Sprintf("%d policies", kept), func(t *testing.T) { changesUnderLoad(t, kept) })
	}
}

func changesUnderLoad(t *testing.T, kept int) {
	s := start(t, t.TempDir(), "--set", "data.deadline=5s") // what a crowded machine does to deadlines is another test's
	body := func(i, n int) string {
		return fmt.Sprintf(`{"rules":[{"rule_id":"a%d","effect":"allow","conditions":[{"field":"action","operator":"==","value":"go%d"}]},
			{"rule_id":"b%d","effect":"deny","conditions":[{"field":"params.n","operator":">","value":%d}]}]}`, n, i, n, 1000+n)
	}
	var first sync.WaitGroup
	turns := make(chan struct{}, 250)
	for i := range kept {
		turns <- struct{}{}
		first.Go(func() {
			defer func() { <-turns }()
			if a, err := s.try("PUT", fmt.Sprintf("/v1/policies/p%d", i), body(i, 0)); err != nil || a.Status != 201 {
				t.Errorf("p%d: %d %s %v", i, a.Status, a.Body, err)
			}
		})
	}
	first.Wait()
	// A rate that this machine can hold while nothing else happens.
	const lasts = 3 * time.Second
	every := time.Millisecond
	begin := s.cpu()
	quiet := s.decisions(t, every, lasts)
	for at(quiet, 0.99) > 200*time.Millisecond && every < 20*time.Millisecond {
		every *= 2
		begin = s.cpu()
		quiet = s.decisions(t, every, lasts)
	}
	idle := s.cpu() - begin
	var made, failed atomic.Int64
	var changes sync.WaitGroup
	stop := make(chan struct{})
	changes.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond) // 100 a second, where the machine makes as many
		defer tick.Stop()
		room := make(chan struct{}, 32)
		var each sync.WaitGroup
		defer each.Wait()
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			room <- struct{}{}
			each.Go(func() {
				defer func() { <-room }()
				a, err := s.try("PUT", fmt.Sprintf("/v1/policies/p%d", n%kept), body(n%kept, n))
				if err != nil || a.Status != 200 {
					failed.Add(1)
					return
				}
				made.Add(1)
			})
		}
	})
	const bound = 2 * time.Second
	var loaded []time.Duration
	asked := 0
	for try := 0; try == 0 || try < 5 && (made.Load() < 50 || at(loaded, 0.99) > bound); try++ { // a machine may stand still for once
		loaded = s.decisions(t, every, lasts)
		asked += len(loaded)
	}
	busy := s.cpu() - begin - idle - idle*time.Duration(asked)/time.Duration(len(quiet))
	close(stop)
	changes.Wait()
	t.Logf("%.1f ms of a processor a change", 1e3*busy.Seconds()/float64(max(made.Load(), 1)))
	t.Logf("quiet: %d decisions, p50 %s, p99 %s; under %d changes in %s: %d decisions, p50 %s, p99 %s",
		len(quiet), at(quiet, 0.5), at(quiet, 0.99), made.Load(), lasts, len(loaded), at(loaded, 0.5), at(loaded, 0.99))
	if failed.Load() > 0 || made.Load() < 50 {
		t.Errorf("%d changes made, %d failed", made.Load(), failed.Load())
	}
	if p99 := at(loaded, 0.99); p99 > bound {
		t.Errorf("p99 %s while policies change", p99)
	}
}

// cpu is the processor time that the process has used, to a hundredth of a second; 0 where the system does not say.
func (s *sidecar) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Pid()))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // state is the first; utime and stime are 12 and 13 on (proc(5))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100
}

// at is a quantile of sorted durations.
func at(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// decisions asks at a steady rate and gives the latencies, from when each was due, sorted. None may fail.
func (s *sidecar) decisions(t *testing.T, every, lasts time.Duration) []time.Duration {
	t.Helper()
	const callers = 8
	tr := &http.Transport{MaxIdleConnsPerHost: callers}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: 10 * time.Second}
	var mu sync.Mutex
	var all []time.Duration
	var done sync.WaitGroup
	begin := time.Now()
	for k := range callers {
		done.Go(func() {
			var mine []time.Duration
			for n := k; ; n += callers {
				due := begin.Add(time.Duration(n) * every)
				if due.Sub(begin) > lasts {
					break
				}
				time.Sleep(time.Until(due)) // the schedule, not synchronisation
				res, err := c.Post(s.data+"/v1/evaluate", "application/json", bytes.NewReader(fmt.Appendf(nil, `{"agent_id":"a","action":"go%d","params":{"n":1}}`, n%20)))
				if err != nil {
					t.Errorf("a decision failed: %v", err)
					return
				}
				b, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || res.StatusCode != 200 || !bytes.Contains(b, []byte(`"allowed":true`)) {
					t.Errorf("%d %s %v", res.StatusCode, b, err)
					return
				}
				mine = append(mine, time.Since(due))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	done.Wait()
	if len(all) == 0 {
		t.Fatal("no decision was made")
	}
	slices.Sort(all)
	return all
}
