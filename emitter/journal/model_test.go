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
