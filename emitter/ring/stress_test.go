package ring_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"thymus/emitter/ring"
	"thymus/pdp"
)

// starts are positions just before something wraps. A lap of a small ring is 2^16 bytes.
var starts = []struct {
	name  string
	start uint64
}{
	{"from the beginning", 0},
	{"just before the index wraps", small - 128},
	{"just before the lap counter wraps", 1<<(ring.LapBits+16) - 3*small - 64},
	{"just before positions wrap", 1<<64 - 3*small - 64},
}

// Several producers, one consumer that is now and then too slow: every record that was taken arrives once, whole and
// in its producer's order, nothing else arrives, and the counts agree. The rare paths must have run.
func TestEveryRecordTakenArrivesExactlyOnce(t *testing.T) {
	const producers = 4
	const each = uint64(30_000)
	for _, tc := range starts {
		t.Run(tc.name, func(t *testing.T) {
			var seen [ring.Steps]atomic.Uint64
			hook := func(step int, _ uint64) {
				seen[step].Add(1)
				if step == ring.StepLooked && rand.Uint32()%64 == 0 || step == ring.StepMarked && rand.Uint32()%256 == 0 {
					runtime.Gosched() // between the look and the claim others claim; a claim lies open while others commit
				}
			}
			r := heap(t, ring.Options{}.From(tc.start).Watched(hook))
			var offered [pdp.Classes]atomic.Uint64
			var wg sync.WaitGroup
			for p := range producers {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(p), tc.start))
					buf := make([]byte, 4096)
					for seq := uint64(1); seq <= each; {
						c := pdp.Class(rng.IntN(pdp.Classes))
						n := sealMin + rng.IntN(400)
						if rng.IntN(64) == 0 {
							n = sealMin + rng.IntN(4000)
						}
						offered[c].Add(1)
						if r.Append(c, seal(buf, p, seq, n)) {
							seq++
						} else {
							runtime.Gosched()
						}
					}
				})
			}
			var last [producers]uint64
			var pos uint64
			got, rng := uint64(0), rand.New(rand.NewPCG(9, 9))
			for got < producers*each {
				n, next := r.Poll(1+rng.IntN(200), func(at uint64, _ pdp.Class, b []byte) {
					p, seq, ok := unseal(b)
					if !ok {
						t.Errorf("torn record at %d", at)
						return
					}
					if seq != last[p]+1 {
						t.Errorf("producer %d: %d after %d", p, seq, last[p])
					}
					if got > 0 && int64(at-pos) <= 0 {
						t.Errorf("position %d after %d", at, pos)
					}
					last[p], pos = seq, at
					got++
				})
				if t.Failed() {
					break
				}
				r.Advance(next)
				if n == 0 {
					runtime.Gosched()
				}
			}
			wg.Wait()
			if n := drain(r, func(uint64, pdp.Class, []byte) {}); n != 0 {
				t.Fatalf("%d records too many", n)
			}
			balanced(t, r)
			for c := range offered {
				if r.Offered()[c] != offered[c].Load() {
					t.Fatalf("class %d: offered %d, the ring says %d", c, offered[c].Load(), r.Offered()[c])
				}
			}
			for step, name := range map[int]string{ring.StepPadded: "padding at the end", ring.StepLost: "a lost claim", ring.StepRefused: "a refusal"} {
				if seen[step].Load() == 0 {
					t.Errorf("%s never happened", name)
				}
			}
			t.Logf("%d laps, %d paddings, %d lost claims, %d stale looks, %d refusals", (r.Tail()-tc.start)/small,
				seen[ring.StepPadded].Load(), seen[ring.StepLost].Load(), seen[ring.StepStale].Load(), seen[ring.StepRefused].Load())
		})
	}
}

// A producer that looked at the tail and then slept, while others claimed and the consumer passed them all, must look
// again: taking the difference as a full ring would refuse a record into an empty one.
func TestAStaleLookAtTheTailIsNoRefusal(t *testing.T) {
	looked, resume := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	var stale atomic.Uint64
	r := heap(t, ring.Options{}.Watched(func(step int, _ uint64) {
		switch step {
		case ring.StepLooked:
			if first.CompareAndSwap(false, true) {
				close(looked)
				<-resume
			}
		case ring.StepStale:
			stale.Add(1)
		}
	}))
	taken := make(chan bool)
	go func() { taken <- r.Append(pdp.ClassAllow, []byte("slow")) }()
	<-looked
	for range 3 * small / 128 {
		if !r.Append(pdp.ClassAllow, make([]byte, 100)) {
			t.Fatal("refused")
		}
		drain(r, func(uint64, pdp.Class, []byte) {})
	}
	close(resume)
	if !<-taken {
		t.Fatal("refused by an empty ring")
	}
	if stale.Load() == 0 {
		t.Fatal("the look was not stale, the test proves nothing")
	}
	balanced(t, r)
}

// Readers of the counts never wait, never fail and never see more than can be, while all others are at work.
func TestCountsCanBeReadAtAnyTime(t *testing.T) {
	r := heap(t, ring.Options{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer end() // before the ring is closed
	for p := range 2 {
		wg.Go(func() {
			b := make([]byte, 40) // one unit each, so that there is no padding
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					r.Append(pdp.Class((i+p)%pdp.Classes), b)
				}
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, next := r.Poll(3, func(uint64, pdp.Class, []byte) {})
				r.Advance(next)
			}
		}
	})
	for i := range 20000 {
		done, pending, offered := r.Done(), r.Pending(), r.Offered()
		for c := range done {
			if done[c] > offered[c] || pending[c] > small/64 {
				t.Fatalf("look %d: done %v pending %v offered %v", i, done, pending, offered)
			}
		}
		cursor, sum := r.DoneAt(), uint64(0)
		for _, n := range cursor.Done {
			sum += n
		}
		if sum*64 != cursor.Position {
			t.Fatalf("%d records done, the cursor is at %d", sum, cursor.Position)
		}
		if r.Backlog() > small {
			t.Fatal(fmt.Sprint("backlog ", r.Backlog()))
		}
	}
	end()
	balanced(t, r)
}
