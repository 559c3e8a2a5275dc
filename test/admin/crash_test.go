package admin_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thymus/test/harness"
)

// rounds of a kill: a few in every run, many with make test-crash.
func rounds(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("THYMUS_CRASH_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return 6
}

// TestKillDuringAWriteLeavesTheOldRevisionOrTheNew kills the process in the midst of changes to a few policies. What is
// there afterwards is, for each, what was acknowledged last or the one change that was under way; it decides; and the
// journal has an event for each revision, once.
func TestKillDuringAWriteLeavesTheOldRevisionOrTheNew(t *testing.T) {
	const policies = 4
	dir := t.TempDir()
	var acknowledged, asked [policies]int
	for range rounds(t) {
		s := start(t, dir)
		var stop atomic.Bool
		var done sync.WaitGroup
		for p := range policies {
			done.Go(func() {
				for !stop.Load() {
					n := asked[p] + 1
					asked[p] = n
					body := fmt.Sprintf(`{"version":"%d","rules":[{"rule_id":"v%d","effect":"allow","conditions":[{"field":"action","operator":"==","value":"p%d"}]}]}`, n, n, p)
					if a, err := s.try("PUT", fmt.Sprintf("/v1/policies/p%d", p), body); err != nil || a.Status >= 300 {
						return
					}
					acknowledged[p] = n
				}
			})
		}
		time.AfterFunc(time.Duration(50+rand.IntN(400))*time.Millisecond, func() { s.Shoot() })
		<-s.Done()
		stop.Store(true)
		done.Wait()

		s = start(t, dir)
		for p := range policies {
			a := s.ask("GET", fmt.Sprintf("/v1/policies/p%d", p), "")
			if a.Status == 404 && acknowledged[p] == 0 {
				asked[p] = 0
				continue
			}
			version, err := strconv.Atoi(fmt.Sprint(a.Field("version")))
			if err != nil || version != acknowledged[p] && version != asked[p] {
				t.Fatalf("p%d is at %v; %d was acknowledged and %d asked for", p, a.Body, acknowledged[p], asked[p])
			}
			if ok, rule := s.decide(fmt.Sprintf(`{"agent_id":"a","action":"p%d"}`, p)); !ok || rule != fmt.Sprintf("v%d", version) {
				t.Fatalf("p%d: %q decides, version %d is stored", p, rule, version)
			}
			acknowledged[p], asked[p] = version, version
		}
		total := 0
		for p := range policies {
			if acknowledged[p] > 0 {
				total += int(s.must(200, "GET", fmt.Sprintf("/v1/policies/p%d", p), "").Field("revision").(float64))
			}
		}
		harness.Eventually(t, 30*time.Second, fmt.Sprintf("an event for each of %d revisions", total), func() bool {
			return len(s.events("policy.created"))+len(s.events("policy.updated")) >= total
		})
		ids := map[string]bool{}
		for _, e := range append(s.events("policy.created"), s.events("policy.updated")...) {
			ids[fmt.Sprint(e["id"])] = true
		}
		if n := len(s.events("policy.created")) + len(s.events("policy.updated")); n != total || len(ids) != total {
			t.Fatalf("%d events with %d ids for %d revisions", n, len(ids), total)
		}
		s.Kill()
	}
	sum := 0
	for _, n := range acknowledged {
		sum += n
	}
	if sum < policies {
		t.Fatalf("only %d changes were made", sum)
	}
	t.Logf("%d changes over %d kills", sum, rounds(t))
}
