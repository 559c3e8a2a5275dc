package ring_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"thymus/emitter/ring"
	"thymus/pdp"
)

const small = ring.MinSize

func heap(t testing.TB, o ring.Options) *ring.Ring {
	t.Helper()
	if o.Size == 0 {
		o.Size = small
	}
	r, rec, err := ring.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if !rec.Volatile || !rec.Fresh {
		t.Fatalf("a ring on the heap must say that it is new and does not survive: %+v", rec)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// drain polls and advances until nothing comes any more.
func drain(r *ring.Ring, fn func(pos uint64, c pdp.Class, p []byte)) (n int) {
	for {
		k, next := r.Poll(64, fn)
		if next == r.Cursor() {
			return n
		}
		n += k
		r.Advance(next)
	}
}

// balanced fails unless offered = done + pending + shed, for every class.
func balanced(t testing.TB, r *ring.Ring) {
	t.Helper()
	offered, done, pending, shed := r.Offered(), r.Done(), r.Pending(), r.Shed()
	for c := range pdp.Class(pdp.Classes) {
		if offered[c] != done[c]+pending[c]+shed[c] {
			t.Fatalf("class %s: offered %d is not done %d + pending %d + shed %d", c, offered[c], done[c], pending[c], shed[c])
		}
	}
}

func TestRecordsComeBackWholeAndInOrder(t *testing.T) {
	r := heap(t, ring.Options{})
	type record struct {
		c pdp.Class
		p []byte
	}
	var want []record
	for i, n := range []int{0, 1, 7, 8, 55, 56, 57, 64, 119, 120, 121, 192, 1000, 4096, r.MaxRecord()} {
		p := bytes.Repeat([]byte{byte(i + 1)}, n)
		want = append(want, record{pdp.Class(i % pdp.Classes), bytes.Clone(p)})
		if !r.Append(pdp.Class(i%pdp.Classes), p) {
			t.Fatalf("%d bytes were refused", n)
		}
		clear(p) // Append copies
	}
	last, i := uint64(0), 0
	n, next := r.Poll(100, func(pos uint64, c pdp.Class, p []byte) {
		if c != want[i].c || !bytes.Equal(p, want[i].p) {
			t.Fatalf("record %d: class %s, %d bytes", i, c, len(p))
		}
		if i > 0 && pos <= last {
			t.Fatalf("position %d after %d", pos, last)
		}
		last = pos
		i++
	})
	if n != len(want) || next != r.Tail() || r.Cursor() != 0 {
		t.Fatalf("polled %d up to %d, tail %d, cursor %d", n, next, r.Tail(), r.Cursor())
	}
	balanced(t, r)
	r.Advance(next)
	if n, _ := r.Poll(1, nil); n != 0 || r.Backlog() != 0 {
		t.Fatalf("%d records and %d bytes after all were done", n, r.Backlog())
	}
	balanced(t, r)
}

func TestARecordThatIsNotTakenComesAgain(t *testing.T) {
	r := heap(t, ring.Options{})
	for i := range 10 {
		r.Append(pdp.ClassDeny, []byte{byte(i)})
	}
	var taken []byte
	room := 4
	take := func(_ uint64, _ pdp.Class, p []byte) bool {
		if room == 0 {
			return false
		}
		room--
		taken = append(taken, p[0])
		return true
	}
	n, next := r.PollFrom(r.Cursor(), 10, take)
	if n != 4 || len(taken) != 4 {
		t.Fatalf("%d taken, %d delivered", len(taken), n)
	}
	if again, same := r.PollFrom(next, 10, take); again != 0 || same != next {
		t.Fatalf("%d taken without room, position %d instead of %d", again, same, next)
	}
	room = 2
	if n, next = r.PollFrom(next, 10, take); n != 2 { // further into the same batch
		t.Fatalf("%d taken, want 2", n)
	}
	r.Advance(next)
	balanced(t, r)
	if done := r.Done()[pdp.ClassDeny]; done != 6 {
		t.Fatalf("%d done, want 6", done)
	}
	room = 10
	_, next = r.PollFrom(r.Cursor(), 10, take)
	r.Advance(next)
	if want := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !bytes.Equal(taken, want) {
		t.Fatalf("taken %v, want %v", taken, want)
	}
	balanced(t, r)
}

func TestPollDoesNotMoveTheCursorAndAdvanceMayStopInTheMiddle(t *testing.T) {
	r := heap(t, ring.Options{})
	for i := range 10 {
		r.Append(pdp.ClassDeny, []byte{byte(i)})
	}
	var positions []uint64
	see := func(pos uint64, _ pdp.Class, p []byte) { positions = append(positions, pos) }
	r.Poll(10, see)
	r.Poll(10, see)
	if len(positions) != 20 || positions[0] != positions[10] {
		t.Fatalf("a second poll without Advance gives the same records: %v", positions)
	}
	r.Advance(positions[4])
	var first byte
	if !r.Oldest(func(_ uint64, _ pdp.Class, p []byte) { first = p[0] }) || first != 4 {
		t.Fatalf("the oldest is %d, want 4", first)
	}
	if got := r.Done()[pdp.ClassDeny]; got != 4 {
		t.Fatalf("done %d, want 4", got)
	}
	balanced(t, r)
	defer func() {
		if recover() == nil {
			t.Fatal("advance into the middle of nowhere must panic")
		}
	}()
	r.Advance(positions[9] + 4096)
}

func TestEachClassHasItsShareOfTheRing(t *testing.T) {
	for _, tc := range []struct {
		c       pdp.Class
		percent uint64
	}{
		{pdp.ClassAllow, 75}, {pdp.ClassDeny, 90}, {pdp.ClassWarn, 90}, {pdp.ClassAudit, 90},
		{pdp.ClassThreat, 100}, {pdp.ClassImmune, 100}, {pdp.ClassAdmin, 100},
	} {
		t.Run(fmt.Sprintf("%s fills %d percent", tc.c, tc.percent), func(t *testing.T) {
			r := heap(t, ring.Options{})
			p := make([]byte, 100)
			kept := uint64(0)
			for r.Append(tc.c, p) {
				kept++
			}
			if max := r.Capacity() * tc.percent / 100; r.Backlog() > max || r.Backlog()+128 <= max {
				t.Fatalf("filled %d bytes of %d", r.Backlog(), max)
			}
			if r.Shed()[tc.c] != 1 || r.Offered()[tc.c] != kept+1 || r.Pending()[tc.c] != kept {
				t.Fatalf("kept %d: offered %v pending %v shed %v", kept, r.Offered(), r.Pending(), r.Shed())
			}
			if tc.percent < 100 && !r.Append(pdp.ClassThreat, p) {
				t.Fatal("a threat found no room in its reserve")
			}
			balanced(t, r)
			drain(r, func(uint64, pdp.Class, []byte) {})
			if !r.Append(tc.c, p) {
				t.Fatal("refused after everything was done")
			}
			balanced(t, r)
		})
	}
}

func TestWhatIsTooLongIsRefusedAndCounted(t *testing.T) {
	r := heap(t, ring.Options{})
	if r.Append(pdp.ClassAdmin, make([]byte, r.MaxRecord()+1)) {
		t.Fatal("taken")
	}
	if r.Oversize() != 1 || r.Shed()[pdp.ClassAdmin] != 1 {
		t.Fatalf("oversize %d, shed %v", r.Oversize(), r.Shed())
	}
	// The longest record must fit wherever the tail stands in an empty ring, for the smallest share.
	for range 3 * small / 64 {
		if !r.Append(pdp.ClassAllow, nil) || !r.Append(pdp.ClassAllow, make([]byte, r.MaxRecord())) {
			t.Fatalf("refused at tail %d", r.Tail())
		}
		drain(r, func(uint64, pdp.Class, []byte) {})
	}
	balanced(t, r)
}

func TestAClosedRingRefusesAndStillKnowsItsCounts(t *testing.T) {
	r := heap(t, ring.Options{})
	r.Append(pdp.ClassWarn, []byte("kept"))
	r.Close()
	r.Close()
	if r.Append(pdp.ClassWarn, []byte("late")) {
		t.Fatal("taken after Close")
	}
	if n, _ := r.Poll(1, nil); n != 0 || r.Offered()[pdp.ClassWarn] != 1 || r.Pending()[pdp.ClassWarn] != 1 {
		t.Fatalf("n %d, offered %v, pending %v", n, r.Offered(), r.Pending())
	}
}

func TestOptionsThatCannotBeAreNamed(t *testing.T) {
	for name, o := range map[string]ring.Options{
		"too small": {Size: small - 1}, "too large": {Size: ring.MaxSize + 1}, "no size": {},
		"a folder without a name": {Size: small, Path: t.TempDir()}, "a name with a folder": {Size: small, Path: t.TempDir(), Name: "a/b"},
	} {
		_, _, err := ring.Open(o)
		if oe := (*ring.OptionError)(nil); !errors.As(err, &oe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	r := heap(t, ring.Options{})
	p := make([]byte, 192)
	sum := 0
	fn := func(_ uint64, _ pdp.Class, p []byte) { sum += len(p) }
	if n := testing.AllocsPerRun(1000, func() {
		r.Append(pdp.ClassAllow, p)
		_, next := r.Poll(16, fn)
		r.Advance(next)
		r.Pending()
		r.Offered()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { r.Append(pdp.ClassAllow, p) }); n != 0 || r.Shed()[0] == 0 {
		t.Fatalf("%v allocations up to and in a full ring, shed %d", n, r.Shed()[0])
	}
}

// seal makes a payload that proves itself: producer, sequence, length and bytes that follow from them.
func seal(b []byte, producer int, seq uint64, n int) []byte {
	b = b[:n]
	binary.LittleEndian.PutUint64(b, uint64(producer)<<48|seq)
	binary.LittleEndian.PutUint32(b[8:], uint32(n))
	x := byte(seq)*31 + byte(producer)
	for i := 12; i < n; i++ {
		b[i] = x + byte(i)
	}
	return b
}

const sealMin = 12

// unseal checks it.
func unseal(b []byte) (producer int, seq uint64, ok bool) {
	if len(b) < sealMin || binary.LittleEndian.Uint32(b[8:]) != uint32(len(b)) {
		return 0, 0, false
	}
	id := binary.LittleEndian.Uint64(b)
	producer, seq = int(id>>48), id&(1<<48-1)
	x := byte(seq)*31 + byte(producer)
	for i := 12; i < len(b); i++ {
		if b[i] != x+byte(i) {
			return producer, seq, false
		}
	}
	return producer, seq, true
}
