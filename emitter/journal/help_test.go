package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thymus/emitter/journal"
	"thymus/pdp"
)

const baseTime = int64(1_700_000_000_000_000_000)

// line is the event with number n as the tests write it.
func line(n uint64) string {
	return fmt.Sprintf(`{"id":"evt_policy_%d_%016x","type":"policy.evaluated","n":%d}`, baseTime/1e6, n, n)
}

// batch is the next n events behind first, in the ring up to its number.
func batch(first uint64, n int) *journal.Batch {
	var b bytes.Buffer
	for i := range n {
		b.WriteString(line(first + uint64(i)))
		b.WriteByte('\n')
	}
	out := &journal.Batch{
		Lines: b.Bytes(), Events: n, First: when(first), Last: when(first + uint64(max(n, 1)) - 1),
		RingEpoch: 7, RingEnd: 64 * (first + uint64(n) - 1),
	}
	out.Counts[pdp.ClassAllow] = uint64(n)
	out.Marks[0] = first
	return out
}

func when(n uint64) int64 { return baseTime + int64(n)*1_000_000 }

func open(t testing.TB, o journal.Options) (*journal.Journal, *journal.Repair) {
	t.Helper()
	j, rep, err := journal.Open(o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil && !strings.Contains(t.Name(), "disk") {
			t.Errorf("close: %v", err)
		}
	})
	return j, rep
}

// fill appends n events in batches of size each, and returns the number behind them.
func fill(t testing.TB, j *journal.Journal, n, size int) uint64 {
	t.Helper()
	first := j.Next()
	for left := n; left > 0; left -= size {
		k := min(size, left)
		if err := j.Append(batch(first, k)); err != nil {
			t.Fatalf("append %d: %v", first, err)
		}
		first += uint64(k)
	}
	return first
}

// drain reads everything there is from a reader: the numbers seen, and the gaps.
func drain(t testing.TB, r *journal.Reader) (seen []uint64, gaps []journal.Gap) {
	t.Helper()
	var c journal.Chunk
	for {
		ok, err := r.Next(&c)
		if err != nil {
			t.Fatalf("next: %v", err)
		}
		if !ok {
			return seen, gaps
		}
		if c.Gap.Count() > 0 {
			gaps = append(gaps, c.Gap)
		}
		n := 0
		for seq, l := range c.All {
			if !strings.HasSuffix(string(l), "}") {
				t.Fatalf("event %d: %q", seq, l)
			}
			seen = append(seen, seq)
			n++
		}
		if n != c.Events {
			t.Fatalf("%d events announced, %d given", c.Events, n)
		}
	}
}

func readAll(t testing.TB, dir string, from uint64) ([]uint64, []journal.Gap) {
	t.Helper()
	r, err := journal.OpenReader(dir, from)
	if err != nil {
		t.Fatalf("open reader: %v", err)
	}
	defer r.Close()
	return drain(t, r)
}

// wantRun fails unless seen is from, from+1, ... , to-1.
func wantRun(t testing.TB, seen []uint64, from, to uint64) {
	t.Helper()
	if uint64(len(seen)) != to-from {
		t.Fatalf("%d events, want %d (%d to %d)", len(seen), to-from, from, to-1)
	}
	for i, n := range seen {
		if n != from+uint64(i) {
			t.Fatalf("event %d at place of %d", n, from+uint64(i))
		}
	}
}

func verifies(t testing.TB, dir string) *journal.Report {
	t.Helper()
	rep, err := journal.Verify(dir, nil, nil)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	for _, p := range rep.Problems {
		t.Errorf("verify: %v", p)
	}
	return rep
}

func files(t testing.TB, dir, ext string) []string {
	t.Helper()
	fs, err := filepath.Glob(filepath.Join(dir, "*"+ext))
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}
