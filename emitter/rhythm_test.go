package emitter_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"thymus/emitter"
	"thymus/pdp"
)

// looks counts the records that the pump takes at a time: in a bubble no time passes while it works.
type looks struct {
	mu   sync.Mutex
	at   time.Time
	n    int
	all  int
	most int
	many int // looks that found something
	done int // batches
}

func (l *looks) Observe(*pdp.Record, func(*pdp.Event)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now != l.at {
		l.at, l.n = now, 0
		l.many++
	}
	l.n++
	l.all++
	l.most = max(l.most, l.n)
}

func (l *looks) step(s int) {
	if s == 1 { // journaled
		l.mu.Lock()
		l.done++
		l.mu.Unlock()
	}
}

// anew begins to count anew, and gives the counts so far.
func (l *looks) anew() (all, most, many, done int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, most, many, done = l.all, l.most, l.many, l.done
	l.most, l.many, l.done = 0, 0, 0
	return all, most, many, done
}

func TestThePumpTakesLittleAtATimeWhereMuchComesAndRestsWhereLittleDoes(t *testing.T) {
	for _, c := range []struct {
		name           string
		every          time.Duration // between two records
		most           int           // records at a time
		looks, batches [2]int        // a quarter of a second, least and most
	}{
		{"5,000 a second are looked for as often as they are journaled", 200 * time.Microsecond, 25, [2]int{60, 65}, [2]int{60, 65}},
		{"20,000 a second too", 50 * time.Microsecond, 85, [2]int{60, 65}, [2]int{60, 65}},
		{"50,000 a second are taken in parts, and journaled twice as often", 20 * time.Microsecond, 70, [2]int{250, 500}, [2]int{100, 160}},
		{"100,000 a second too", 10 * time.Microsecond, 70, [2]int{350, 500}, [2]int{100, 160}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, seen := newRoom(t, 8<<20), &looks{}
				p := r.pump(func(o *emitter.PumpOptions) {
					o.Detector = seen
					o.SetHookForTest(seen.step)
				})
				stop := start(p)
				sent := 0
				send := func(until time.Duration) {
					for begin := time.Now(); time.Since(begin) < until; time.Sleep(c.every) {
						rec := r.record(sent)
						if !r.rec.Record(pdp.ClassAllow, &rec) {
							t.Fatal("the ring is full")
						}
						sent++
					}
				}
				send(50 * time.Millisecond) // in which the pump learns how fast they come
				seen.anew()
				send(time.Second / 4)
				_, most, many, done := seen.anew()
				if most > c.most {
					t.Errorf("%d records at a time, want at most %d", most, c.most)
				}
				if many < c.looks[0] || many > c.looks[1] {
					t.Errorf("%d looks, want %v", many, c.looks)
				}
				if done < c.batches[0] || done > c.batches[1] {
					t.Errorf("%d batches, want %v", done, c.batches)
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if all, _, _, _ := seen.anew(); all != sent || len(r.lines()) != sent {
					t.Errorf("%d records, %d observed, %d journaled", sent, all, len(r.lines()))
				}
				balanced(t, p)
			})
		})
	}
}
