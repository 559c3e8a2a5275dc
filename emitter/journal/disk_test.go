package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"thymus/emitter/journal"
)

func TestAnAppendThatFailsInAnyWayCanBeRepeatedAndNothingIsLostOrDoubled(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		failures := 0
		o := journal.Options{Dir: t.TempDir(), SegmentSize: 4 << 10, Fsync: journal.FsyncNever}
		failing := false
		o.WriteAt = func(f *os.File, p []byte, off int64) (int, error) {
			if !failing || rng.IntN(3) > 0 {
				return f.WriteAt(p, off)
			}
			failures++
			n, err := f.WriteAt(p[:rng.IntN(len(p)+1)], off) // nothing, a part, or all of it
			if err == nil && rng.IntN(4) > 0 {
				err = syscall.ENOSPC
			} else if n == len(p) {
				err = syscall.EIO
			}
			return n, err // fewer than wanted, also without an error
		}
		j, _ := open(t, o)
		failing = true
		r, err := journal.OpenReader(o.Dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var seen []uint64
		first := uint64(1)
		for first < 600 {
			n := 1 + rng.IntN(9)
			b := batch(first, n)
			for before := j.Last(); ; {
				err := j.Append(b)
				if err == nil {
					break
				}
				var we *journal.WriteError
				if !errors.As(err, &we) || !strings.HasPrefix(err.Error(), "journal: write ") {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if errors.Is(err, syscall.ENOSPC) != errors.Is(err, journal.ErrFull) {
					t.Fatalf("seed %d: %v is full: %v", seed, err, errors.Is(err, journal.ErrFull))
				}
				if l := j.Last(); l.Next() != before.Next() || l.RingEnd != before.RingEnd || l.Pumped != before.Pumped {
					t.Fatalf("seed %d: a failed append moved the journal: %+v", seed, l)
				}
			}
			first += uint64(n)
			got, gaps := drain(t, r)
			if seen = append(seen, got...); len(gaps) > 0 {
				t.Fatalf("seed %d: gaps %v", seed, gaps)
			}
		}
		failing = false
		if failures < 20 {
			t.Fatalf("seed %d: %d failures: nothing was tested", seed, failures)
		}
		wantRun(t, seen, 1, first)
		all, _ := readAll(t, o.Dir, 1)
		wantRun(t, all, 1, first)
		if v := verifies(t, o.Dir); v.Tail != 0 || len(v.Problems) > 0 {
			t.Fatalf("seed %d: %+v", seed, v)
		}
		j.Close()
		if _, rep := open(t, o); !rep.Clean() {
			t.Fatalf("seed %d: %v", seed, rep)
		}
	}
}

func TestAnotherBatchMayFollowOneThatFailed(t *testing.T) {
	var broken atomic.Bool
	o := journal.Options{Dir: t.TempDir(), Fsync: journal.FsyncNever}
	o.WriteAt = func(f *os.File, p []byte, off int64) (int, error) {
		n, err := f.WriteAt(p, off)
		if broken.Load() && strings.HasSuffix(f.Name(), ".side") {
			return n, syscall.EIO // written and yet failed
		}
		return n, err
	}
	j, _ := open(t, o)
	fill(t, j, 10, 5)
	broken.Store(true)
	if err := j.Append(batch(11, 8)); err == nil {
		t.Fatal("no error")
	}
	broken.Store(false)
	if err := j.Append(batch(11, 3)); err != nil {
		t.Fatal(err)
	}
	seen, _ := readAll(t, o.Dir, 1)
	wantRun(t, seen, 1, 14)
	if v := verifies(t, o.Dir); v.Tail != 0 {
		t.Fatalf("%+v", v)
	}
}

func TestStrictRefusesUntilSomethingIsDelivered(t *testing.T) {
	o := journal.Options{
		Dir: t.TempDir(), SegmentSize: 4 << 10, RetainSize: 24 << 10, Strict: true, Sinks: []string{"kafka"}, Fsync: journal.FsyncNever,
	}
	j, _ := open(t, o)
	s, _ := j.Sink("kafka")
	s.Resume(1)
	first, refusals := uint64(1), 0
	for first < 2000 {
		err := j.Append(batch(first, 4))
		if err == nil {
			first += 4
			continue
		}
		var le *journal.LimitError
		if !errors.Is(err, journal.ErrFull) || !errors.As(err, &le) || le.Limit != o.RetainSize || le.Held > le.Limit ||
			!strings.Contains(err.Error(), "undelivered events must not expire") {
			t.Fatalf("%v", err)
		}
		if refusals++; refusals > 500 {
			t.Fatal("no way out")
		}
		for n := s.Position(); n < first; n++ { // deliver all
			s.Take(0, n)
		}
		if err := s.Ack(0, first, first-s.Position(), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
	}
	if c := s.Counters(); refusals == 0 || c.Expired != 0 || c.Journaled != first-1 {
		t.Fatalf("%d refusals, %+v", refusals, c)
	}
	if st := j.Stats(); st.Bytes > o.RetainSize || st.Oldest == 1 {
		t.Fatalf("%+v", st)
	}
}

func TestStrictWithoutASinkKeepsToTheSizeByItself(t *testing.T) {
	o := journal.Options{Dir: t.TempDir(), SegmentSize: 4 << 10, RetainSize: 24 << 10, Strict: true}
	j, _ := open(t, o)
	fill(t, j, 2000, 4)
	if st := j.Stats(); st.Bytes > o.RetainSize {
		t.Fatalf("%+v", st)
	}
	verifies(t, o.Dir)
}

func ExampleWriteError() {
	err := error(&journal.WriteError{Op: "write", Path: "DIR/00000000000000000001.ndjson", Err: syscall.ENOSPC})
	fmt.Println(err)
	fmt.Println(errors.Is(err, journal.ErrFull))
	// Output:
	// journal: write DIR/00000000000000000001.ndjson: no space left on device
	// true
}
