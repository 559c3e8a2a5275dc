package journal_test

import (
	"sync"
	"testing"
	"time"

	"thymus/emitter/journal"
)

func TestTheOldestSegmentsGoWhenTheSizeLimitIsPassed(t *testing.T) {
	o := journal.Options{Dir: t.TempDir(), SegmentSize: 4 << 10, RetainSize: 40 << 10}
	j, _ := open(t, o)
	r := j.Reader(1)
	defer r.Close()
	fill(t, j, 3000, 8)
	j.Retain()
	st := j.Stats()
	if st.Bytes > o.RetainSize || st.Bytes < o.RetainSize/2 || st.Oldest == 1 || st.Expired != st.Oldest-1 {
		t.Fatalf("%+v", st)
	}
	seen, gaps := drain(t, r)
	wantRun(t, seen, st.Oldest, 3001)
	if len(gaps) != 1 || gaps[0] != (journal.Gap{From: 1, To: st.Oldest, Why: journal.GapExpired}) {
		t.Fatalf("gaps %v", gaps)
	}
	if v := verifies(t, o.Dir); v.First != st.Oldest || v.Events != 3001-st.Oldest {
		t.Fatalf("%+v", v)
	}
	if n := len(files(t, o.Dir, ".side")); n != st.Segments || n != len(files(t, o.Dir, ".ndjson")) {
		t.Fatalf("%d side files, %d segments", n, st.Segments)
	}
}

func TestAReaderInTheMiddleOfASegmentThatGoesReadsItToItsEnd(t *testing.T) {
	o := journal.Options{Dir: t.TempDir(), SegmentSize: 4 << 10, RetainSize: 16 << 10}
	j, _ := open(t, o)
	fill(t, j, 20, 5)
	r := j.Reader(0)
	defer r.Close()
	out, err := journal.OpenReader(o.Dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var c journal.Chunk
	for _, r := range []*journal.Reader{r, out} {
		if ok, err := r.Next(&c); !ok || err != nil || c.First != 1 {
			t.Fatal(ok, err)
		}
	}
	fill(t, j, 2000, 5)
	j.Retain()
	for _, r := range []*journal.Reader{r, out} {
		seen, gaps := drain(t, r)
		if len(gaps) != 1 || gaps[0].To != j.Oldest() || gaps[0].Why != journal.GapExpired || seen[0] != 6 {
			t.Fatalf("gaps %v, first %d", gaps, seen[0])
		}
		if uint64(len(seen))+gaps[0].Count() != 2015 {
			t.Fatalf("%d seen, gap %v", len(seen), gaps[0])
		}
	}
}

func TestOldSegmentsGoOnceTheyAreDelivered(t *testing.T) {
	now := time.Unix(0, when(1000))
	o := journal.Options{
		Dir: t.TempDir(), SegmentSize: 4 << 10, RetainSize: 1 << 30, RetainAge: 500 * time.Millisecond, Sinks: []string{"a", "b"},
		Now: func() time.Time { return now },
	}
	j, _ := open(t, o)
	fill(t, j, 1000, 5) // one each millisecond
	j.Retain()
	if j.Oldest() != 1 {
		t.Fatalf("undelivered events expired by age: oldest %d", j.Oldest())
	}
	settle := func(name string, to uint64) {
		s, _ := j.Sink(name)
		for n := s.Resume(1); n < to; n++ {
			s.Take(0, n)
			if err := s.Ack(0, n+1, 1, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
		j.Retain()
	}
	settle("a", 1001)
	if j.Oldest() != 1 {
		t.Fatalf("events that b has not delivered expired: oldest %d", j.Oldest())
	}
	settle("b", 300)
	if o := j.Oldest(); o > 300 || o < 200 {
		t.Fatalf("oldest %d, want the segment of 300", o)
	}
	settle("b", 1001)
	if o := j.Oldest(); o > 500 || o < 400 {
		t.Fatalf("oldest %d, want the segment of 500", o)
	}
	for _, name := range o.Sinks {
		s, _ := j.Sink(name)
		if c := s.Counters(); c.Expired != 0 || c.Delivered != 1000 {
			t.Fatalf("%s: %+v", name, c)
		}
	}
}

func TestNothingExpiresBeforeTheSinksAreKnown(t *testing.T) {
	o := journal.Options{Dir: t.TempDir(), SegmentSize: 4 << 10, RetainSize: 64 << 10, Sinks: []string{"kafka"}, Strict: true}
	j, _ := open(t, o)
	fill(t, j, 300, 5)
	j.Close()
	o.RetainSize = 24 << 10
	j, _ = open(t, o)
	j.Retain()
	if s, _ := j.Sink("kafka"); j.Oldest() != 1 || s.Counters().Pending != 300 {
		t.Fatalf("oldest %d", j.Oldest())
	}
}

// What retention removes under a reader's hands is a gap to it, and never the end.
func TestAReaderIsNotAtTheEndBecauseASegmentGoes(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, journal.Options{Dir: dir, SegmentSize: 4 << 10, RetainSize: 8 << 10, Fsync: journal.FsyncNever})
	fill(t, j, 200, 5)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for first := j.Next(); ; first += 5 {
			select {
			case <-stop:
				return
			default:
			}
			if err := j.Append(batch(first, 5)); err != nil {
				t.Error(err)
				return
			}
			j.Retain()
		}
	})
	defer func() { close(stop); writer.Wait() }()
	read := func(round int, r *journal.Reader) {
		defer r.Close()
		var c journal.Chunk
		for range 20 {
			more := r.Seq() < j.Next()
			if ok, err := r.Next(&c); err != nil || more && !ok {
				t.Fatalf("round %d: at %d of %d: %t, %v", round, r.Seq(), j.Next()-1, ok, err)
			}
		}
	}
	for round := range 150 {
		read(round, j.Reader(0))
		r, err := journal.OpenReader(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		read(round, r)
	}
}
