package journal_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"thymus/emitter/journal"
)

// The harness: the test binary starts itself as a child that appends without end, from where the journal says the ring
// stands. The child kills itself in a write (before it, in the middle, behind it), or the parent does at a random
// moment. The parent then opens what is left and demands that every event is there once, in order, byte for byte.

const childEnv = "JOURNAL_TEST_CHILD"

type childTask struct {
	Dir      string
	Acked    string // file of the last event whose Append returned
	Seed     uint64
	KillAt   int // which write to die in, 0: none
	Mutation string
}

func crashChild() int {
	var c childTask
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &c); err != nil {
		return fail(err)
	}
	rng := rand.New(rand.NewPCG(c.Seed, 1))
	writes := 0
	o := crashOptions(c.Dir, c.Mutation)
	o.WriteAt = func(f *os.File, p []byte, off int64) (int, error) {
		if writes++; writes == c.KillAt {
			switch rng.IntN(3) {
			case 0:
			case 1:
				_, _ = f.WriteAt(p[:rng.IntN(len(p))], off)
			case 2:
				_, _ = f.WriteAt(p, off)
			}
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {}
		}
		return f.WriteAt(p, off)
	}
	j, _, err := journal.Open(o)
	if err != nil {
		return fail(err)
	}
	acked, err := os.OpenFile(c.Acked, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fail(err)
	}
	s, err := j.Sink("kafka")
	if err != nil {
		return fail(err)
	}
	go consume(j, s)
	next := j.Last().RingEnd/64 + 1
	if c.Mutation == "the cursor is not in the side record" {
		var b [8]byte
		_, _ = acked.ReadAt(b[:], 0)
		next = binary.LittleEndian.Uint64(b[:]) + 1
	}
	for {
		n := 1 + rng.IntN(20)
		if err := j.Append(batch(next, n)); err != nil {
			return fail(err)
		}
		next += uint64(n)
		if _, err := acked.WriteAt(binary.LittleEndian.AppendUint64(nil, next-1), 0); err != nil {
			return fail(err)
		}
	}
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "child:", err)
	return 3
}

// consume delivers what it reads, as a shipper would.
func consume(j *journal.Journal, s *journal.Sink) {
	r := j.Reader(s.Resume(1))
	var c journal.Chunk
	for {
		ok, err := r.Next(&c)
		if err != nil {
			return
		}
		n := uint64(0)
		for seq := range c.All {
			if s.Take(0, seq) {
				n++
			}
		}
		if n > 0 {
			_ = s.Ack(0, c.First+uint64(c.Events), n, 0)
		}
		if !ok {
			time.Sleep(time.Millisecond) // paces the child's consumer
		}
	}
}

func crashOptions(dir, mutation string) journal.Options {
	return journal.Planted(journal.Options{
		Dir: dir, SegmentSize: 32 << 10, RetainSize: 1 << 30, Fsync: journal.FsyncNever, Sinks: []string{"kafka"},
	}, mutation)
}

// rounds kills children until one of the rounds finds something wrong. It says in how many something had to be repaired.
func rounds(n int, mutation string, seed uint64, dir string) (repaired int, events uint64, err error) {
	c := childTask{Dir: filepath.Join(dir, "journal"), Acked: filepath.Join(dir, "acked"), Mutation: mutation}
	rng := rand.New(rand.NewPCG(seed, 2))
	for i := range n {
		c.Seed = rng.Uint64()
		if c.KillAt = 0; i%4 != 3 {
			c.KillAt = 2 + rng.IntN(60)
		}
		if err := runChild(c, time.Duration(5+rng.IntN(40))*time.Millisecond); err != nil {
			return repaired, events, err
		}
		did, next, err := inspect(c)
		if err != nil {
			return repaired, events, fmt.Errorf("round %d: %w", i+1, err)
		}
		if did {
			repaired++
		}
		events = next - 1
	}
	return repaired, events, nil
}

func runChild(c childTask, after time.Duration) error {
	task, err := json.Marshal(c)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env, cmd.Stderr = append(os.Environ(), childEnv+"="+string(task)), &out
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	limit := 20 * time.Second
	if c.KillAt == 0 {
		limit = after
	}
	select {
	case <-done:
	case <-time.After(limit):
		_ = cmd.Process.Kill()
		<-done
	}
	if cmd.ProcessState.Exited() {
		return fmt.Errorf("the child ended by itself: %s", out.String())
	}
	return nil
}

// inspect opens what a kill left and demands everything.
func inspect(c childTask) (repaired bool, next uint64, err error) {
	j, rep, err := journal.Open(crashOptions(c.Dir, c.Mutation))
	if err != nil {
		return false, 0, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	if rep.Lost > 0 || rep.Skipped > 0 || rep.Adopted > 0 || len(rep.Damage) > 0 {
		return false, 0, fmt.Errorf("a kill lost something: %v %v", rep, rep.Damage)
	}
	last := j.Last()
	next = last.Next()
	if b, err := os.ReadFile(c.Acked); err == nil && len(b) == 8 && binary.LittleEndian.Uint64(b) >= next {
		return false, 0, fmt.Errorf("event %d was acknowledged, the journal ends with %d", binary.LittleEndian.Uint64(b), next-1)
	}
	if last.RingEnd != 64*(next-1) || last.Pumped[0] != next-1 {
		return false, 0, fmt.Errorf("ring at %d, pumped %d, but %d events", last.RingEnd, last.Pumped[0], next-1)
	}
	fs, err := filepath.Glob(filepath.Join(c.Dir, "*.ndjson"))
	if err != nil {
		return false, 0, err
	}
	n := uint64(1)
	for _, f := range fs {
		b, err := os.ReadFile(f)
		if err != nil {
			return false, 0, err
		}
		for l := range bytes.Lines(b) {
			if string(l) != line(n)+"\n" {
				return false, 0, fmt.Errorf("%s: %q stands where event %d belongs", filepath.Base(f), l, n)
			}
			n++
		}
	}
	if n != next {
		return false, 0, fmt.Errorf("%d lines, the side record says %d", n-1, next-1)
	}
	v, err := journal.Verify(c.Dir, nil, nil)
	if err != nil || !v.OK() || v.Tail != 0 {
		return false, 0, fmt.Errorf("verify: %v, tail %d, %w", v.Problems, v.Tail, err)
	}
	s, err := j.Sink("kafka")
	if err != nil {
		return false, 0, err
	}
	if k := s.Counters(); k.Journaled != next-1 || k.Delivered != s.Position()-1 || k.Pending != next-s.Position() || k.Expired != 0 {
		return false, 0, fmt.Errorf("sink at %d: %+v", s.Position(), k)
	}
	return !rep.Clean(), next, nil
}

// TestKilledAnywhereEveryEventIsThereOnce runs 20 rounds, or THYMUS_CRASH_ROUNDS.
func TestKilledAnywhereEveryEventIsThereOnce(t *testing.T) {
	n := 20
	if s := os.Getenv("THYMUS_CRASH_ROUNDS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 20 {
			t.Fatalf("THYMUS_CRASH_ROUNDS: expected a number from 20, got %q", s)
		}
	}
	repaired, events, err := rounds(n, "", uint64(time.Now().UnixNano()), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if repaired == 0 || events == 0 {
		t.Fatalf("%d events, %d repairs: nothing was tested", events, repaired)
	}
	t.Logf("%d kills, %d of them left something to repair, %d events, none lost, doubled or torn", n, repaired, events)
}

func TestTheHarnessNoticesWhenAStepOfTheProtocolIsMissing(t *testing.T) {
	for _, mutation := range []string{
		"side record before its lines", "withdrawn lines stay", "side records are believed",
		"the cursor is not in the side record",
	} {
		_, _, err := rounds(60, mutation, 7, t.TempDir())
		if err == nil {
			t.Errorf("%s: not noticed", mutation)
		} else {
			t.Logf("%s: %v", mutation, err)
		}
	}
}
