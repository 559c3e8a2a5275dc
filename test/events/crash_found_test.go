package events_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"thymus/test/harness"
)

// The same while detectors find another offender a dozen times a hundred requests, so that the pump holds batches open for
// what they tell and the store commits beside it: a kill meets batches that were begun, and events that are owed.
func TestCrashLosesNothingWhileBatchesAreHeldOpen(t *testing.T) {
	found := []string{"THYMUS_IMMUNE_MODE=protect", "THYMUS_IMMUNE_MAX_QUARANTINED=100000", "THYMUS_DETECT_FLEET_AT_LEAST=1000000",
		"THYMUS_DETECT_DENIALS_ENABLED=true", "THYMUS_DETECT_PROBING_ENABLED=true"}
	for _, loss := range []string{"shed", "strict"} {
		t.Run(loss, func(t *testing.T) {
			h := newHome(t, append(found, "THYMUS_EVENTS_LOSS="+loss)...)
			var asked atomic.Int64
			h.body = func(int) string { // eight denials each
				n := asked.Add(1)
				return fmt.Sprintf(`{"agent_id":"prober-%d","agent_role":"nobody","action":"open","resource":"vault/%d"}`, n/8, n%8)
			}
			answered, err := crash(t, h, rounds(t, 10))
			if err != nil {
				t.Fatal(err)
			}
			// What is stored was told once, and nothing was told that is not stored.
			s, l := h.start(t), newLedger(h.journal())
			harness.Eventually(t, 30*time.Second, "the journal tells of each threat that is stored, once", func() bool {
				ids := s.threats(t)
				if err := l.read(); err != nil {
					t.Fatal(err)
				}
				told := slices.Sorted(maps.Keys(l.threats))
				return len(ids) > 0 && slices.Equal(ids, told)
			})
			for id, n := range l.threats {
				if n != 1 {
					t.Errorf("threat %s was told of %d times", id, n)
				}
			}
			for who, n := range l.sources { // a start finds again what was found, under the same name
				if n != 1 {
					t.Errorf("%s, who probed once, is %d threats", who, n)
				}
			}
			t.Log(l.types)
			if n := l.types["immune.self_protection_triggered"]; n == 0 || l.types["threat.detected"] < n {
				t.Errorf("of %d decisions nothing was found, and no batch held open: %v", answered, l.types)
			}
		})
	}
}

// threats are the ids of all threats that are stored, sorted.
func (s *sidecar) threats(t *testing.T) (ids []string) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.dir, "management.token"))
	if err != nil {
		t.Fatal(err)
	}
	for next := ""; ; {
		r, err := http.NewRequest(http.MethodGet, "http://"+s.mgmt+"/v1/threats?limit=1000&next="+url.QueryEscape(next), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Items []struct {
				ID string `json:"threat_id"`
			}
			Next *string
		}
		err = json.NewDecoder(res.Body).Decode(&page)
		if res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v", res.StatusCode, err)
		}
		for _, x := range page.Items {
			ids = append(ids, x.ID)
		}
		if page.Next == nil || *page.Next == "" {
			slices.Sort(ids)
			return ids
		}
		next = *page.Next
	}
}
