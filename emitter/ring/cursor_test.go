package ring_test

import (
	"errors"
	"strings"
	"testing"

	"thymus/emitter/ring"
	"thymus/pdp"
)

// Twenty records of 100 bytes, ten of them done.
func halfDone(t *testing.T) *ring.Ring {
	r := heap(t, ring.Options{})
	for i := range uint64(20) {
		append1(t, r, int(i%3), i, 100)
	}
	_, next := r.Poll(10, func(uint64, pdp.Class, []byte) {})
	r.Advance(next)
	return r
}

func TestTheCursorMovesToWhereTheJournalStands(t *testing.T) {
	for _, tc := range []struct {
		name string
		pos  uint64
		left uint64
		bad  bool
	}{
		{"where it stands already", 10 * 128, 10, false},
		{"forward, a kill came before Advance", 14 * 128, 6, false},
		{"forward to the tail", 20 * 128, 0, false},
		{"backward, the journal lost its end", 7 * 128, 13, false},
		{"back to the beginning", 0, 20, false},
		{"beyond the tail, the file is older than the journal", 50 * 128, 0, false},
		{"far beyond the tail", 1 << 40, 0, false},
		{"into the middle of a record", 14*128 + 64, 10, true},
		{"into the middle of a unit", 14*128 + 8, 10, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := halfDone(t)
			err := r.SetCursor(tc.pos)
			if ce := (*ring.CursorError)(nil); tc.bad != errors.As(err, &ce) {
				t.Fatal(err)
			}
			n := uint64(0)
			for _, c := range r.Pending() {
				n += c
			}
			if n != tc.left {
				t.Fatalf("%d records left, want %d", n, tc.left)
			}
			balanced(t, r)
			again, _, problem := ring.Reborn(r.Image(), nil)
			if problem != "" {
				t.Fatal(problem)
			}
			balanced(t, again)
			append1(t, again, 0, 99, 100)
			if got := drain(again, func(uint64, pdp.Class, []byte) {}); got != int(tc.left)+1 {
				t.Fatalf("drained %d", got)
			}
			balanced(t, again)
		})
	}
}

// What the cursor went back over is not free, whatever producers knew of it before.
func TestRecordsTakenUpAgainAreNotOverwritten(t *testing.T) {
	r := heap(t, ring.Options{})
	for i := range uint64(100) {
		append1(t, r, 1, i, 500)
	}
	drain(r, func(uint64, pdp.Class, []byte) {})
	r.SetCursor(90 * 512)
	r.Append(pdp.ClassThreat, make([]byte, r.MaxRecord())) // the ring's producers look at the cursor
	drain(r, func(uint64, pdp.Class, []byte) {})
	n := uint64(0)
	for ; r.Append(pdp.ClassThreat, make([]byte, 500)); n++ {
	}
	drain(r, func(uint64, pdp.Class, []byte) {})
	again, _, _ := ring.Reborn(r.Image(), nil) // which knows the cursor as it is now
	if err := again.SetCursor(again.Cursor() - n/2*512); err != nil {
		t.Fatal(err)
	}
	for again.Append(pdp.ClassThreat, make([]byte, 500)) {
	}
	if again.Backlog() > small {
		t.Fatalf("%d bytes in a ring of %d", again.Backlog(), small)
	}
	balanced(t, again)
}

func TestTheCursorGoesBackAfterARestartOfTheSystem(t *testing.T) {
	r := halfDone(t)
	r.Image()[48] ^= 1
	again, rec, problem := ring.Reborn(r.Image(), nil)
	if problem != "" || !rec.BootChanged {
		t.Fatal(problem, rec)
	}
	if err := again.SetCursor(3 * 128); err != nil {
		t.Fatal(err)
	}
	balanced(t, again)
	if n := drain(again, func(uint64, pdp.Class, []byte) {}); n != 17 {
		t.Fatal(n)
	}
}

func TestTheCursorDoesNotGoBackWhereRecordsAreGone(t *testing.T) {
	for says, hurt := range map[string]func(r *ring.Ring){
		"has been overwritten": func(r *ring.Ring) {
			for r.Append(pdp.ClassThreat, make([]byte, 1000)) {
			}
			drain(r, func(uint64, pdp.Class, []byte) {})
			for range 40 {
				r.Append(pdp.ClassThreat, make([]byte, 1000))
			}
		},
		"no longer whole": func(r *ring.Ring) { r.Image()[r.At(8*128)+9] ^= 1 },
	} {
		r := halfDone(t)
		hurt(r)
		before := r.Cursor()
		err := r.SetCursor(7 * 128)
		if ce := (*ring.CursorError)(nil); !errors.As(err, &ce) || r.Cursor() != before || !strings.Contains(ce.Problem, says) {
			t.Errorf("%s: %v, cursor %d, was %d", says, err, r.Cursor(), before)
		}
		balanced(t, r)
	}
}

// Moving beyond the tail dies between its two stores.
func TestMovingBeyondTheTailMayBeKilled(t *testing.T) {
	for _, at := range []int{ring.StepSlot, ring.StepMoved} {
		r := halfDone(t)
		if !dying(func(die func()) {
			r.Watch(func(step int, _ uint64) {
				if step == at {
					die()
				}
			})
			r.SetCursor(1 << 30)
		}) {
			t.Fatal("it lived")
		}
		r.Watch(nil)
		again, _, problem := ring.Reborn(r.Image(), nil)
		if problem != "" {
			t.Fatal(problem)
		}
		if err := again.SetCursor(1 << 30); err != nil || again.Tail() != 1<<30 || again.Cursor() != 1<<30 {
			t.Fatal(err, again.Cursor(), again.Tail())
		}
		balanced(t, again)
	}
}

func TestTotalsOfAnEarlierRingGoOn(t *testing.T) {
	r := halfDone(t)
	done, shed := [pdp.Classes]uint64{100, 200}, [pdp.Classes]uint64{7}
	r.SetTotals(done, shed)
	balanced(t, r)
	drain(r, func(uint64, pdp.Class, []byte) {})
	again, _, _ := ring.Reborn(r.Image(), nil)
	balanced(t, again)
	var sum uint64
	for _, n := range again.Done() {
		sum += n
	}
	if sum != 310 || again.Shed() != shed {
		t.Fatalf("done %v, shed %v", again.Done(), again.Shed())
	}
}
