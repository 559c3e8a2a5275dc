package ring_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"thymus/emitter/ring"
	"thymus/pdp"
)

// dying runs fn in a goroutine that ends for good when the hook asks for it, and says whether it did.
func dying(fn func(die func())) (died bool) {
	var wg sync.WaitGroup
	wg.Go(func() {
		died = true
		fn(runtime.Goexit)
		died = false
	})
	wg.Wait()
	return died
}

func append1(t *testing.T, r *ring.Ring, producer int, seq uint64, n int) {
	t.Helper()
	if !r.Append(pdp.Class(producer%pdp.Classes), seal(make([]byte, n), producer, seq, n)) {
		t.Fatal("refused")
	}
}

// contents polls everything without advancing.
func contents(t *testing.T, r *ring.Ring) (ids []uint64) {
	t.Helper()
	_, next := r.Poll(1<<20, func(pos uint64, c pdp.Class, b []byte) {
		p, seq, ok := unseal(b)
		if !ok || c != pdp.Class(p%pdp.Classes) {
			t.Errorf("torn record at %d", pos)
		}
		ids = append(ids, uint64(p)*1000+seq)
	})
	if next != r.Tail() {
		t.Errorf("the way to the tail is blocked at %d, tail %d", next, r.Tail())
	}
	return ids
}

// A producer dies at each step of Append, between records of others, at each kind of place. Recovery, itself killed at
// each of its steps and begun again, keeps what was committed and nothing else.
func TestAProducerMayDieAtAnyStep(t *testing.T) {
	steps := []struct {
		name     string
		step     int
		survives bool
		straddle bool // only where the record crosses the end
	}{
		{"after the claim", ring.StepClaimed, false, false},
		{"after the padding", ring.StepPadded, false, true},
		{"after the mark", ring.StepMarked, false, false},
		{"with half of the payload copied", ring.StepHalf, false, false},
		{"with all of it copied", ring.StepCopied, false, false},
		{"after the commit", ring.StepCommitted, true, false},
	}
	for _, place := range starts {
		for _, crossing := range []bool{false, true} {
			for _, tc := range steps {
				if tc.straddle && !crossing {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, crossing the end %v", tc.name, place.name, crossing), func(t *testing.T) {
					r := heap(t, ring.Options{}.From(place.start))
					if crossing { // bring the tail to two units before the end
						for r.Tail()%small != small-128 {
							append1(t, r, 0, 1, sealMin)
							drain(r, func(uint64, pdp.Class, []byte) {})
						}
					} else {
						append1(t, r, 1, 1, 100)
					}
					var die func()
					r.Watch(func(step int, _ uint64) {
						if step == tc.step {
							die()
						}
					})
					victims := 2 // that die side by side
					if tc.straddle {
						victims = 1 // only the first crosses the end
					}
					for victim := range victims {
						if !dying(func(d func()) { die = d; append1(t, r, 2, uint64(victim+1), 300) }) {
							t.Fatal("the victim lived")
						}
					}
					r.Watch(nil)
					append1(t, r, 3, 1, 200)
					append1(t, r, 3, 2, 20)
					var want []uint64
					if !crossing {
						want = append(want, 1001)
					}
					if tc.survives {
						want = append(want, 2001, 2002)
					}
					want = append(want, 3001, 3002)
					recoverEverywhere(t, r.Image(), want)
				})
			}
		}
	}
}

// recoverEverywhere lets recovery of an image die at its first step, its second, and so on, each time on the same image,
// until one goes through; and checks what is there then.
func recoverEverywhere(t *testing.T, image []byte, want []uint64) {
	t.Helper()
	for kill := 1; ; kill++ {
		var r *ring.Ring
		var problem string
		count := 0
		if dying(func(die func()) {
			r, _, problem = ring.Reborn(image, func(int, uint64) {
				if count++; count == kill {
					die()
				}
			})
		}) {
			continue
		}
		if problem != "" {
			t.Fatal(problem)
		}
		if got := contents(t, r); !slices.Equal(got, want) {
			t.Fatalf("recovered %v, want %v", got, want)
		}
		balanced(t, r)
		if r.Backlog() > small-1024 { // no room for more
			drain(r, func(uint64, pdp.Class, []byte) {})
			want = nil
		}
		append1(t, r, 4, 1, 500)
		if got := contents(t, r); !slices.Equal(got, append(slices.Clone(want), 4001)) {
			t.Fatalf("after one more: %v", got)
		}
		if n := drain(r, func(uint64, pdp.Class, []byte) {}); n != len(want)+1 {
			t.Fatalf("drained %d", n)
		}
		balanced(t, r)
		return
	}
}

// The consumer dies between its counts and its cursor: the records come again, and are counted once.
func TestTheConsumerMayDieBeforeItsCursorMoves(t *testing.T) {
	r := heap(t, ring.Options{})
	for i := range uint64(10) {
		append1(t, r, int(i), 1, 50)
	}
	_, next := r.Poll(3, func(uint64, pdp.Class, []byte) {})
	r.Advance(next)
	_, next = r.Poll(4, func(uint64, pdp.Class, []byte) {})
	if !dying(func(die func()) { r.Watch(func(int, uint64) { die() }); r.Advance(next) }) {
		t.Fatal("it lived")
	}
	recoverEverywhere(t, r.Image(), []uint64{3001, 4001, 5001, 6001, 7001, 8001, 9001})
}

func TestCountsOfRefusalsSurvive(t *testing.T) {
	r := heap(t, ring.Options{})
	for r.Append(pdp.ClassAllow, make([]byte, 1000)) {
	}
	r.Append(pdp.ClassThreat, make([]byte, r.MaxRecord()+1))
	before := r.Offered()
	again, rec, problem := ring.Reborn(r.Image(), nil)
	if problem != "" || again.Offered() != before || again.Shed()[pdp.ClassAllow] != 1 || again.Oversize() != 1 || rec.Recounted != 0 {
		t.Fatalf("%s offered %v, was %v; shed %v; %+v", problem, again.Offered(), before, again.Shed(), rec)
	}
	if again.Epoch() != r.Epoch() {
		t.Fatal("another epoch for the same ring")
	}
}

// Ten records of 100 bytes, two units each, three of them done; then an injury.
func TestDamageIsContained(t *testing.T) {
	type injury struct {
		name   string
		start  uint64
		hurt   func(r *ring.Ring, image []byte)
		want   []uint64 // what is left, nil where the image is refused
		torn   int
		shed   uint64
		refuse bool
	}
	all := []uint64{3, 4, 5, 6, 7, 8, 9}
	without := func(x uint64) []uint64 {
		return slices.DeleteFunc(slices.Clone(all), func(y uint64) bool { return x == y })
	}
	at := func(i uint64) uint64 { return i * 128 }
	const nearEnd = small - 5*128
	otherBoot := func(_ *ring.Ring, image []byte) { image[48] ^= 1 }
	for _, tc := range []injury{
		{name: "none", hurt: func(*ring.Ring, []byte) {}, want: all},
		{name: "a byte of a payload", hurt: func(r *ring.Ring, b []byte) { b[r.At(at(5))+50] ^= 1 }, want: without(5), torn: 1, shed: 1},
		{name: "a checksum", hurt: func(r *ring.Ring, b []byte) { b[r.At(at(4))-8] ^= 1 }, want: without(4), torn: 1, shed: 1},
		{name: "a control word zero", hurt: func(r *ring.Ring, b []byte) { r.Control(at(6)).Store(0) }, want: without(6)},
		{name: "a control word of another lap", hurt: func(r *ring.Ring, b []byte) { r.Control(at(6)).Add(1 << (64 - ring.LapBits)) }, want: without(6)},
		{name: "a control word of another class", hurt: func(r *ring.Ring, b []byte) { r.Control(at(6)).Add(1 << 24) }, want: without(6), torn: 1, shed: 1},
		{name: "a control word with a length beyond the tail", hurt: func(r *ring.Ring, b []byte) { r.Control(at(9)).Add(4000) }, want: without(9)},
		{name: "a control word with a length beyond the end of the data", start: nearEnd, hurt: func(r *ring.Ring, b []byte) {
			r.Control(nearEnd + at(4)).Add(200)
		}, want: without(4)},
		{name: "the last control word claimed again", hurt: func(r *ring.Ring, b []byte) { r.Force(at(9), ring.Claimed) }, want: without(9)},
		{name: "an earlier record's bytes on a later one's place", hurt: func(r *ring.Ring, b []byte) {
			copy(b[r.At(at(7))-8:r.At(at(7))+100], bytes.Clone(b[r.At(at(5))-8:r.At(at(5))+100]))
		}, want: without(7), torn: 1, shed: 1},
		{name: "the cursor beyond the tail", hurt: func(r *ring.Ring, b []byte) { put(b, 256, at(11)) }, refuse: true},
		{name: "the cursor in the middle of a unit", hurt: func(r *ring.Ring, b []byte) { put(b, 256, at(3)+8) }, refuse: true},
		{name: "the tail more than a ring ahead", hurt: func(r *ring.Ring, b []byte) { put(b, 128, at(4)+small) }, refuse: true},
		{name: "counts of another position", hurt: func(r *ring.Ring, b []byte) { put(b, 320, 64); put(b, 384, 64) }, refuse: true},
		{name: "another version", hurt: func(r *ring.Ring, b []byte) { b[8] = 9 }, refuse: true},
		{name: "another magic number", hurt: func(r *ring.Ring, b []byte) { b[0] = 'X' }, refuse: true},
		{name: "another salt", hurt: func(r *ring.Ring, b []byte) { b[16] ^= 1 }, refuse: true},
		{name: "a capacity that is no power of two", hurt: func(r *ring.Ring, b []byte) { put(b, 32, small+64) }, refuse: true},
		{name: "another boot", hurt: otherBoot, want: all},
		{name: "another boot and a header older than the last records", hurt: func(r *ring.Ring, b []byte) { otherBoot(r, b); put(b, 128, at(6)) }, want: all},
		{name: "another boot, an older header and a torn record behind it", hurt: func(r *ring.Ring, b []byte) {
			otherBoot(r, b)
			put(b, 128, at(6))
			b[r.At(at(9))+3] ^= 1
		}, want: without(9)},
		{name: "another boot and a tail ahead of the data", hurt: func(r *ring.Ring, b []byte) { otherBoot(r, b); put(b, 128, at(20)) }, want: all},
		{name: "another boot and counts of another position", hurt: func(r *ring.Ring, b []byte) { otherBoot(r, b); put(b, 320, 64); put(b, 384, 64) }, refuse: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := heap(t, ring.Options{}.From(tc.start))
			for i := range uint64(10) {
				append1(t, r, 0, i, 100)
			}
			_, next := r.Poll(3, func(uint64, pdp.Class, []byte) {})
			r.Advance(next)
			tc.hurt(r, r.Image())
			again, rec, problem := ring.Reborn(bytesOf(r.Image()), nil)
			if tc.refuse != (problem != "") {
				t.Fatalf("problem %q", problem)
			}
			if tc.refuse {
				return
			}
			if rec.Torn != tc.torn || rec.Committed != len(tc.want) || shed(again) != tc.shed {
				t.Errorf("%+v, shed %v", rec, again.Shed())
			}
			recoverEverywhere(t, r.Image(), tc.want)
		})
	}
}

func TestARestartOfTheSystemIsSeenOnce(t *testing.T) {
	r := heap(t, ring.Options{})
	r.Image()[48] ^= 1
	for i, want := range []bool{true, false} {
		if _, rec, problem := ring.Reborn(r.Image(), nil); problem != "" || rec.BootChanged != want {
			t.Fatal(i, problem, rec)
		}
	}
}

func TestAStartOfTheSystemThatCannotBeToldIsAnotherOne(t *testing.T) {
	const id = "01234567-89ab-cdef-0123-456789abcdef"
	first, again := ring.ParseBootID(id), ring.ParseBootID(id)
	if first != again || first[1] != 0x23 {
		t.Fatal("the same identity is not the same")
	}
	for _, s := range []string{"", "none", id[2:]} {
		first, again := ring.ParseBootID(s), ring.ParseBootID(s)
		if first == again {
			t.Fatalf("%q is taken for an identity", s)
		}
	}
}

// A record whose commit reached the disk, but not its bytes, lies behind an old tail. When its place is claimed again,
// it must not be taken for the new record before that is there.
func TestATornRecordBehindTheTailIsNeverSeen(t *testing.T) {
	r := heap(t, ring.Options{})
	append1(t, r, 1, 1, 100)
	append1(t, r, 1, 2, 100)
	image := r.Image()
	image[48] ^= 1
	put(image, 128, 128)
	image[r.At(128)+20] ^= 1
	again, _, problem := ring.Reborn(image, nil)
	if problem != "" || again.Tail() != 128 {
		t.Fatal(problem, again.Tail())
	}
	looked := false
	again.Watch(func(step int, _ uint64) {
		if step == ring.StepClaimed {
			looked = true
			if n, _ := again.Poll(10, func(uint64, pdp.Class, []byte) {}); n != 1 {
				t.Errorf("%d records, one is there", n)
			}
		}
	})
	append1(t, again, 1, 3, 100)
	if !looked {
		t.Fatal("nobody looked")
	}
}

// The producers have been round the ring since the header reached the disk.
func TestAHeaderMoreThanALapOld(t *testing.T) {
	r := heap(t, ring.Options{})
	seq := uint64(0)
	more := func(n int) {
		for range n {
			seq++
			append1(t, r, 1, seq, 1000)
			drain(r, func(uint64, pdp.Class, []byte) {})
		}
	}
	more(10)
	old := bytes.Clone(r.Image()[:4096])
	more(3 * small / 1024)
	for range 5 {
		seq++
		append1(t, r, 1, seq, 1000)
	}
	copy(r.Image(), old)
	r.Image()[48] ^= 1
	again, rec, problem := ring.Reborn(bytesOf(r.Image()), nil)
	if problem != "" {
		t.Fatal(problem)
	}
	got := contents(t, again)
	if len(got) < 50 || got[len(got)-1] != 1000+seq {
		t.Fatalf("%d records up to %d, want the last at %d; %+v", len(got), got[len(got)-1], 1000+seq, rec)
	}
	for i, id := range got[1:] {
		if id != got[i]+1 {
			t.Fatalf("%d after %d", id, got[i])
		}
	}
	recoverEverywhere(t, r.Image(), got)
}

func shed(r *ring.Ring) (sum uint64) {
	for _, n := range r.Shed() {
		sum += n
	}
	return sum
}

func put(b []byte, at int, v uint64) {
	for i := range 8 {
		b[at+i] = byte(v >> (8 * i))
	}
}

func bytesOf(image []byte) []byte {
	b := ring.Heap(len(image))
	copy(b, image)
	return b
}
