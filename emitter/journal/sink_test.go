package journal_test

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"thymus/emitter/journal"
)

// shipper is a consumer as the sinks are meant for: it reads in order, keeps a queue for each partition, and settles
// from their heads.
type shipper struct {
	t          *testing.T
	rng        *rand.Rand
	j          *journal.Journal
	s          *journal.Sink
	r          *journal.Reader
	partitions int32
	queues     map[int32][]uint64
	fate       map[uint64]string // what became of each event, the last time
	twice      int
}

func newShipper(t *testing.T, rng *rand.Rand, j *journal.Journal, partitions int32, fate map[uint64]string) *shipper {
	t.Helper()
	s, err := j.Sink("model")
	if err != nil {
		t.Fatal(err)
	}
	sh := &shipper{t: t, rng: rng, j: j, s: s, partitions: partitions, queues: map[int32][]uint64{}, fate: fate}
	sh.r = j.Reader(s.Resume(partitions))
	return sh
}

func (sh *shipper) partition(seq uint64) int32 {
	return int32(seq * 2654435761 >> 7 % uint64(sh.partitions))
}

// read takes at most one chunk; false where there is nothing new.
func (sh *shipper) read() bool {
	var c journal.Chunk
	ok, err := sh.r.Next(&c)
	if err != nil {
		sh.t.Fatal(err)
	}
	if c.Gap.Count() > 0 {
		sh.s.Gap(c.Gap.To)
	}
	for seq := range c.All {
		p := sh.partition(seq)
		if sh.s.Take(p, seq) {
			sh.queues[p] = append(sh.queues[p], seq)
		}
	}
	return ok
}

// settle acknowledges up to n events of one partition, some of them as refused.
func (sh *shipper) settle(p int32, n int) {
	q := sh.queues[p]
	n = min(n, len(q))
	if n == 0 {
		return
	}
	refused := uint64(0)
	for _, seq := range q[:n] {
		if sh.fate[seq] != "" {
			sh.twice++
		}
		sh.fate[seq] = "delivered"
		if seq%13 == 0 {
			sh.fate[seq] = "refused"
			refused++
		}
	}
	if err := sh.s.Ack(p, q[n-1]+1, uint64(n)-refused, refused); err != nil {
		sh.t.Fatal(err)
	}
	sh.queues[p] = q[n:]
}

func (sh *shipper) open() (n uint64) {
	for _, q := range sh.queues {
		n += uint64(len(q))
	}
	return n
}

// check holds the account against what the shipper itself knows.
func (sh *shipper) check(resuming bool) {
	sh.t.Helper()
	if !resuming {
		sh.j.Retain() // the keeper's own run is over then, and the next one finds nothing to do
	}
	oldest, c := sh.j.Oldest(), sh.s.Counters()
	if c.Journaled != c.Delivered+c.Pending+c.Expired+c.Refused {
		sh.t.Fatalf("the equation does not hold: %+v", c)
	}
	if want := sh.open() + sh.j.Next() - max(sh.r.Seq(), oldest); !resuming && c.Pending != want {
		sh.t.Fatalf("pending %d, but %d are taken or unread: %+v", c.Pending, want, c)
	}
}

func (sh *shipper) finish() {
	for sh.read() {
	}
	for p := range sh.partitions {
		sh.settle(p, len(sh.queues[p]))
	}
	sh.r.Close()
}

func (sh *shipper) count(fate string) (n uint64) {
	for _, f := range sh.fate {
		if f == fate {
			n++
		}
	}
	return n
}

// killed copies the directory as a kill would leave it at this moment.
func killed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		in, err := os.Open(filepath.Join(dir, e.Name()))
		if os.IsNotExist(err) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(filepath.Join(to, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(out, in)
		in.Close()
		if cerr := out.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
	}
	return to
}

func TestEveryEventIsCountedOnceWhileASinkDeliversAndIsKilled(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 4))
		dir, fate, twice, kills := t.TempDir(), map[uint64]string{}, 0, 0
		o := journal.Options{Dir: dir, SegmentSize: 4 << 10, Fsync: journal.FsyncNever}
		j, _ := open(t, o)
		sh := newShipper(t, rng, j, 5, fate)
		first := uint64(1)
		for step := range 600 {
			switch k := rng.IntN(20); {
			case k < 6:
				n := 1 + rng.IntN(9)
				if err := j.Append(batch(first, n)); err != nil {
					t.Fatal(err)
				}
				first += uint64(n)
			case k < 12:
				sh.read()
			case k < 17:
				sh.settle(rng.Int32N(5), 1+rng.IntN(12))
			case k == 17:
				if err := sh.s.Save(); err != nil {
					t.Fatal(err)
				}
			case k == 18 && step%3 == 0:
				o.Dir = killed(t, dir)
				sh.r.Close()
				j.Close()
				twice, dir, kills = twice+sh.twice, o.Dir, kills+1
				j, _ = open(t, o)
				sh = newShipper(t, rng, j, 5, fate)
			}
			sh.check(true)
		}
		sh.finish()
		c := sh.s.Counters()
		if c.Pending != 0 || c.Journaled != first-1 || c.Expired != 0 || c.Delivered != sh.count("delivered") ||
			c.Refused != sh.count("refused") {
			t.Fatalf("seed %d, %d kills: %+v; delivered %d, refused %d", seed, kills, c, sh.count("delivered"), sh.count("refused"))
		}
		if kills == 0 || twice+sh.twice == 0 {
			t.Fatalf("seed %d: %d kills, %d delivered twice: nothing was tested", seed, kills, twice+sh.twice)
		}
	}
}

func TestWhatTheSizeLimitForcesOutIsCountedAsExpired(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 5))
		o := journal.Options{Dir: t.TempDir(), SegmentSize: 4 << 10, RetainSize: 32 << 10, Fsync: journal.FsyncNever}
		j, _ := open(t, o)
		fate := map[uint64]string{}
		sh := newShipper(t, rng, j, 3, fate)
		first := uint64(1)
		for range 1500 {
			switch k := rng.IntN(20); {
			case k < 8:
				n := 1 + rng.IntN(9)
				if err := j.Append(batch(first, n)); err != nil {
					t.Fatal(err)
				}
				first += uint64(n)
			case k < 11:
				sh.read()
				sh.check(false)
			case k < 13:
				sh.settle(rng.Int32N(3), 1+rng.IntN(12))
			case k == 13:
				j.Retain()
			}
			if c := sh.s.Counters(); c.Journaled != first-1 || c.Pending > c.Journaled {
				t.Fatalf("seed %d: %+v", seed, c)
			}
		}
		sh.finish()
		c := sh.s.Counters()
		if c.Pending != 0 || c.Expired == 0 || c.Delivered != sh.count("delivered") || c.Refused != sh.count("refused") ||
			c.Expired != c.Journaled-uint64(len(fate)) {
			t.Fatalf("seed %d: %+v; %d events had another fate", seed, c, len(fate))
		}
	}
}

func TestTheEquationHoldsWhereKillsAndRetentionMeet(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 6))
		o := journal.Options{Dir: t.TempDir(), SegmentSize: 4 << 10, RetainSize: 24 << 10, Fsync: journal.FsyncNever}
		j, _ := open(t, o)
		fate := map[uint64]string{}
		sh := newShipper(t, rng, j, 3, fate)
		first := uint64(1)
		for range 600 {
			switch k := rng.IntN(40); {
			case k < 16:
				n := 1 + rng.IntN(9)
				if err := j.Append(batch(first, n)); err != nil {
					t.Fatal(err)
				}
				first += uint64(n)
			case k < 26:
				sh.read()
			case k < 32:
				sh.settle(rng.Int32N(3), 1+rng.IntN(12))
			case k == 33:
				j.Retain()
			case k == 34:
				dir := killed(t, o.Dir)
				sh.r.Close()
				j.Close()
				o.Dir = dir
				j, _ = open(t, o)
				if j.Next() != first {
					t.Fatalf("seed %d: next %d, want %d", seed, j.Next(), first)
				}
				sh = newShipper(t, rng, j, 3, fate)
			}
			sh.check(true)
		}
		sh.finish()
		if c := sh.s.Counters(); c.Pending != 0 || c.Expired < c.Journaled-uint64(len(fate)) || c.Journaled != first-1 {
			t.Fatalf("seed %d: %+v; %d events had another fate", seed, c, len(fate))
		}
	}
}

func TestWhenTheNumberOfPartitionsChangesEverythingUnsettledComesAgain(t *testing.T) {
	o := journal.Options{Dir: t.TempDir()}
	j, _ := open(t, o)
	fill(t, j, 100, 10)
	rng := rand.New(rand.NewPCG(1, 1))
	fate := map[uint64]string{}
	sh := newShipper(t, rng, j, 4, fate)
	for sh.read() {
	}
	held := sh.queues[2][3] // partition 2 stays behind, the others are done
	sh.settle(2, 3)
	for _, p := range []int32{0, 1, 3} {
		sh.settle(p, 100)
	}
	sh.r.Close()
	sh = newShipper(t, rng, j, 7, fate)
	if sh.r.Seq() > held {
		t.Fatalf("reading begins at %d, but %d is unsettled", sh.r.Seq(), held)
	}
	from := sh.r.Seq()
	for sh.read() {
	}
	if n := sh.open(); n != 101-from {
		t.Fatalf("%d events come again, want %d", n, 101-from)
	}
	sh.finish()
	if c := sh.s.Counters(); c.Delivered+c.Refused != 100 || c.Pending != 0 {
		t.Fatalf("%+v", c)
	}
}

func TestANewSinkBeginsWithTheOldestEventHeldAndCountsFromThere(t *testing.T) {
	o := journal.Options{Dir: t.TempDir(), SegmentSize: 4 << 10, RetainSize: 16 << 10}
	j, _ := open(t, o)
	fill(t, j, 600, 5)
	j.Retain()
	oldest := j.Oldest()
	if oldest == 1 {
		t.Fatal("nothing expired")
	}
	s, err := j.Sink("late")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Counters(); c.Journaled != 601-oldest || c.Pending != c.Journaled || c.Expired != 0 {
		t.Fatalf("%+v", c)
	}
}

func TestADamagedSinkFileStartsWithTheOldestAndADamagedSlotWithTheOneBefore(t *testing.T) {
	o := journal.Options{Dir: t.TempDir(), Fsync: journal.FsyncAlways}
	j, _ := open(t, o)
	fill(t, j, 40, 10)
	s, _ := j.Sink("kafka")
	s.Resume(1)
	for n := range uint64(40) {
		s.Take(0, n+1)
		if err := s.Ack(0, n+2, 1, 0); err != nil {
			t.Fatal(err)
		}
		if n%10 == 9 {
			if err := s.Save(); err != nil {
				t.Fatal(err)
			}
		}
	}
	j.Close()
	path := filepath.Join(o.Dir, "kafka.sink")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	slot := len(whole) / 3
	positions := map[uint64]int{}
	for i := range 3 {
		b := append([]byte(nil), whole...)
		b[i*slot+33] ^= 4
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, _ := open(t, o)
		s, err := j.Sink("kafka")
		if err != nil {
			t.Fatal(err)
		}
		positions[s.Position()]++
		if c := s.Counters(); c.Delivered+c.Pending != 40 || c.Delivered != s.Position()-1 {
			t.Fatalf("slot %d: %+v", i, c)
		}
		j.Close()
	}
	if positions[41] < 2 || len(positions) != 2 {
		t.Fatalf("positions: %v", positions)
	}
	if err := os.WriteFile(path, whole[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	j, _ = open(t, o)
	s, err = j.Sink("kafka")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Counters(); s.Position() != 1 || c.Pending != 40 {
		t.Fatalf("position %d, %+v", s.Position(), c)
	}
}

func TestASinkOfManyPartitionsOutgrowsItsSlots(t *testing.T) {
	o := journal.Options{Dir: t.TempDir()}
	j, _ := open(t, o)
	fill(t, j, 1000, 100)
	s, _ := j.Sink("wide")
	s.Resume(1000)
	for n := range uint64(1000) {
		if !s.Take(int32(n), n+1) {
			t.Fatal(n)
		}
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ack(17, 19, 1, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j, _ = open(t, o)
	s, _ = j.Sink("wide")
	if c := s.Counters(); c.Delivered != 1 || c.Pending != 999 || s.Position() != 1 {
		t.Fatalf("%+v", c)
	}
	taken := 0
	for n := s.Resume(1000); n <= 1000; n++ {
		if s.Take(int32(n-1), n) {
			taken++
		}
	}
	if taken != 999 {
		t.Fatalf("%d come again, want 999", taken)
	}
}

func TestAcknowledgingWhatWasNotTakenIsRefused(t *testing.T) {
	j, _ := open(t, journal.Options{Dir: t.TempDir()})
	fill(t, j, 10, 10)
	s, _ := j.Sink("kafka")
	s.Resume(2)
	s.Take(0, 1)
	s.Take(0, 2)
	before := s.Counters()
	for name, ack := range map[string][4]uint64{
		"another partition":    {1, 2, 1, 0},
		"more than were taken": {0, 3, 2, 1},
		"further than taken":   {0, 4, 2, 0},
	} {
		if err := s.Ack(int32(ack[0]), ack[1], ack[2], ack[3]); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if s.Counters() != before {
		t.Fatal("something was counted")
	}
}
