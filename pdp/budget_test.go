package pdp_test

import (
	"runtime"
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

// A sweeper races with calls that end in time. It goes for every odd deadline, sometimes while that call runs and
// sometimes when the next has begun: no call with an even one may find itself stopped.
func TestALateSweeperStopsNobodyElse(t *testing.T) {
	var b pdp.Budget
	var tried atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if at, running := b.Deadline(); running && at%2 == 1 {
				runtime.Gosched() // to be late
				b.Expire(at)
				tried.Add(1)
			}
		}
	})
	for i := int64(1); i < 200_000 || tried.Load() < 100; i++ {
		b.Start(i)
		if i%512 < 2 {
			runtime.Gosched()
		}
		if i%2 == 0 && b.Stopped() {
			t.Errorf("call %d was stopped", i)
			break
		}
		b.End()
	}
	close(done)
	wg.Wait()
}
