package harness

import (
	"testing"
	"time"
)

// verdict runs f and says whether it failed.
func verdict(t *testing.T, f func(t testing.TB)) bool { return try(t, f).failed }

func TestAFailureOnAMachineThatMovesCountsAtOnce(t *testing.T) {
	runs := 0
	if !verdict(t, func(t testing.TB) {
		Steady(t, time.Hour, func(t testing.TB) { runs++; t.Error("late") })
	}) || runs != 1 {
		t.Fatalf("run %d times", runs)
	}
}

func TestAFailureWhileTheMachineStoodStillIsTriedAgain(t *testing.T) {
	runs, ended := 0, 0
	if verdict(t, func(t testing.TB) {
		Steady(t, -time.Hour, func(t testing.TB) { // it always stands still for longer
			t.Cleanup(func() { ended++ })
			if runs++; runs < 5 {
				t.Fatalf("late")
			}
		})
	}) || runs != 5 || ended != 5 {
		t.Fatalf("run %d times, ended %d times", runs, ended)
	}
	runs = 0
	if !verdict(t, func(t testing.TB) {
		Steady(t, -time.Hour, func(t testing.TB) { runs++; t.Error("late") })
	}) || runs != attempts {
		t.Fatalf("run %d times", runs)
	}
}

func TestMovingTimeIsOverAndCanBeStopped(t *testing.T) {
	begin := time.Now()
	over, stop := Moving(30 * time.Millisecond)
	<-over
	if took := time.Since(begin); took < 30*time.Millisecond {
		t.Fatalf("over after %s", took)
	}
	stop()
	stop()
	over, stop = Moving(time.Hour)
	stop()
	select {
	case <-over:
		t.Fatal("over at once")
	default:
	}
}
