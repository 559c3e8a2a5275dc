package events_test

import (
	"fmt"
	"sync/atomic"
	"testing"
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
			l := newLedger(h.journal())
			if err := l.read(); err != nil {
				t.Fatal(err)
			}
			t.Log(l.types)
			if n := l.types["immune.self_protection_triggered"]; n == 0 || l.types["threat.detected"] < n {
				t.Errorf("of %d decisions nothing was found, and no batch held open: %v", answered, l.types)
			}
		})
	}
}
