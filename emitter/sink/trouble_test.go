package sink_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"thymus/emitter/sink"
)

// A far end that comes back for a moment and is away again within the second is not said twice, unless it stays away: then
// not only after a minute.
func TestATroubleThatFollowsAnotherAtOnceIsSaidIfItLasts(t *testing.T) {
	b, f := newBench(t), newFar(1)
	var away atomic.Bool
	away.Store(true)
	f.fail = func(int, int) error {
		if away.Load() {
			return errors.New("away")
		}
		return nil
	}
	said := make(chan error, 16)
	s, stop := b.run(f, sink.Options{Trouble: func(err error) { said <- err }})
	next := func(want bool) {
		t.Helper()
		select {
		case err := <-said:
			if (err != nil) != want {
				t.Errorf("said %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("nothing was said")
		}
	}
	b.append(10, "")
	next(true)
	away.Store(false)
	next(false)
	away.Store(true)
	b.append(10, "")
	next(true)
	away.Store(false)
	next(false)
	b.drain(s)
	stop()
	if len(said) > 0 {
		t.Errorf("said %v", <-said)
	}
}
