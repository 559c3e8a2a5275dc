package pdp_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"thymus/pdp"
)

func TestABudgetIsStoppedOnlyByItsOwnDeadline(t *testing.T) {
	var none *pdp.Budget
	if none.Stopped() {
		t.Error("no budget is stopped")
	}
	var b pdp.Budget
	if _, running := b.Deadline(); running || b.Stopped() {
		t.Error("a budget at rest runs or is stopped")
	}
	b.Start(100)
	if at, running := b.Deadline(); at != 100 || !running {
		t.Errorf("got %d, %v", at, running)
	}
	b.End()
	b.Start(200)
	if b.Expire(100) || b.Stopped() {
		t.Error("the last call's deadline stopped this one")
	}
	if !b.Expire(200) || !b.Stopped() {
		t.Error("its deadline did not stop it")
	}
	if _, running := b.Deadline(); running {
		t.Error("a stopped budget has a deadline")
	}
	b.End()
	if b.Stopped() || b.Expire(200) {
		t.Error("a budget at rest is stopped, or can be")
	}
}

// A sweeper that is always late races with calls that end in time: none of them may find itself stopped.
func TestALateSweeperStopsNobody(t *testing.T) {
	var b pdp.Budget
	var late atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			// Calls with an even deadline are let live, so that only an odd one's, which is over by then, can be expired.
			if at, running := b.Deadline(); running && at%2 == 1 && !b.Expire(at) {
				late.Add(1)
			}
		}
	})
	for i := int64(1); i < 200_000 || late.Load() == 0 && i < 50_000_000; i++ {
		b.Start(i)
		if i%2 == 0 && b.Stopped() {
			t.Errorf("call %d was stopped", i)
			break
		}
		b.End()
	}
	close(done)
	wg.Wait()
	if late.Load() == 0 {
		t.Error("the sweeper was never late")
	}
}
