package journal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"thymus/emitter/journal"
)

// Readers inside and outside the writer's process follow while writes fail, segments end, sinks store and retention
// removes: each sees every event once, in order, with the bytes that were appended, or a gap that says it expired.
func TestReadersBesideAFailingWriterSeeEachEventOnceOrAsExpired(t *testing.T) {
	const events = 20_000
	rng := rand.New(rand.NewPCG(8, 8))
	var failures atomic.Int64
	o := journal.Options{
		Dir: t.TempDir(), SegmentSize: 8 << 10, RetainSize: 400 << 10, Sinks: []string{"kafka"}, Fsync: journal.Fsync(2e6),
		WriteAt: func(f *os.File, p []byte, off int64) (int, error) {
			if rng.IntN(20) > 0 || off == 0 { // the first record of the journal must come through
				return f.WriteAt(p, off)
			}
			failures.Add(1)
			n, _ := f.WriteAt(p[:rng.IntN(len(p))], off)
			return n, syscall.EIO
		},
	}
	j, _ := open(t, o)
	s, _ := j.Sink("kafka")
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	follow := func(name string, r *journal.Reader, fn func(c *journal.Chunk)) {
		wg.Go(func() {
			defer r.Close()
			var c journal.Chunk
			next, expired := uint64(1), uint64(0)
			for next <= events {
				ok, err := r.Next(&c)
				if err == nil && !ok {
					err = r.Wait(ctx)
				}
				if err != nil {
					t.Errorf("%s at %d: %v", name, next, err)
					return
				}
				if !ok {
					continue
				}
				if n := c.Gap.Count(); n > 0 {
					if c.Gap.From != next || c.Gap.Why != journal.GapExpired {
						t.Errorf("%s at %d: gap %+v", name, next, c.Gap)
						return
					}
					next, expired = c.Gap.To, expired+n
				}
				for seq, l := range c.All {
					if seq != next || string(l) != line(seq) {
						t.Errorf("%s at %d: %d %q", name, next, seq, l)
						return
					}
					next++
				}
				if fn != nil {
					fn(&c)
				}
			}
			t.Logf("%s: %d expired", name, expired)
		})
	}
	for i := range 2 {
		follow(fmt.Sprint("inside ", i), j.Reader(1), nil)
		r, err := journal.OpenReader(o.Dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		follow(fmt.Sprint("outside ", i), r, nil)
	}
	follow("sink", j.Reader(s.Resume(1)), func(c *journal.Chunk) {
		if c.Gap.Count() > 0 {
			s.Gap(c.Gap.To)
		}
		n := uint64(0)
		for seq := range c.All {
			if s.Take(0, seq) {
				n++
			}
		}
		if n > 0 {
			if err := s.Ack(0, c.First+uint64(c.Events), n, 0); err != nil {
				t.Error(err)
			}
		}
	})
	for first := uint64(1); first <= events; {
		n := min(1+rng.IntN(12), int(events-first+1))
		b := batch(first, n)
		for j.Append(b) != nil {
		}
		first += uint64(n)
	}
	wg.Wait()
	if c := s.Counters(); c.Journaled != events || c.Pending != 0 || failures.Load() < 100 {
		t.Fatalf("%+v, %d failures", c, failures.Load())
	}
}

func TestARepairThatIsInterruptedCountsTheLossOnce(t *testing.T) {
	d := hurt(t)
	l := int64(len(line(400)) + 1)
	d.cut(d.lines(-1), 12*l+5)
	o := journal.Options{Dir: d.dir, SegmentSize: 4 << 10}
	writes := 0
	o.WriteAt = func(f *os.File, p []byte, off int64) (int, error) {
		n, err := f.WriteAt(p, off)
		if writes++; err == nil {
			err = syscall.EIO // written, and the power fails
		}
		return n, err
	}
	_, _, err := journal.Open(o)
	if !errors.Is(err, syscall.EIO) || !strings.HasSuffix(err.(*journal.WriteError).Path, ".side") || writes != 1 {
		t.Fatalf("%v after %d writes", err, writes)
	}
	o.WriteAt = nil
	j, rep := open(t, o)
	if j.Next() != 401 || j.Stats().Lost != 13 || rep.Lost > 0 {
		t.Fatalf("next %d, lost %d; %v", j.Next(), j.Stats().Lost, rep)
	}
	fill(t, j, 10, 5)
	seen, gaps := readAll(t, d.dir, 1)
	if len(seen) != 397 || len(gaps) != 1 || gaps[0].Count() != 13 || gaps[0].Why != journal.GapLost {
		t.Fatalf("%d seen, gaps %v", len(seen), gaps)
	}
	verifies(t, d.dir)
}
