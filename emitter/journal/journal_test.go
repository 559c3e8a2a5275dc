package journal_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"thymus/emitter/journal"
	"thymus/pdp"
	"thymus/test/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(crashChild())
	}
	goleak.VerifyTestMain(m)
}

func TestWhatIsAppendedIsReadInOrderAndOnceOverSegmentsAndReopening(t *testing.T) {
	dir := t.TempDir()
	o := journal.Options{Dir: dir, SegmentSize: 8 << 10}
	j, rep := open(t, o)
	if !rep.Fresh || !rep.Clean() {
		t.Fatalf("repair: %v", rep)
	}
	fill(t, j, 1000, 7)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, rep = open(t, o)
	if rep.Fresh || !rep.Clean() {
		t.Fatalf("repair: %v", rep)
	}
	last := j.Last()
	if last.Next() != 1001 || last.RingEpoch != 7 || last.RingEnd != 64*1000 || last.Pumped[pdp.ClassAllow] != 1000 ||
		last.Marks[0] != 995 {
		t.Fatalf("last: %+v", last)
	}
	fill(t, j, 500, 3)
	r := j.Reader(0)
	defer r.Close()
	seen, gaps := drain(t, r)
	wantRun(t, seen, 1, 1501)
	if len(gaps) > 0 {
		t.Fatalf("gaps: %v", gaps)
	}
	seen, _ = readAll(t, dir, 0)
	wantRun(t, seen, 1, 1501)
	if n := len(files(t, dir, ".ndjson")); n < 10 {
		t.Fatalf("%d segments: no roll was tested", n)
	}
	if v := verifies(t, dir); v.Events != 1500 || v.Next != 1501 || v.Segments != len(files(t, dir, ".ndjson")) {
		t.Fatalf("verify: %+v", v)
	}
}

func TestTheFilesInTheOrderOfTheirNamesAreTheEventsByteForByte(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, journal.Options{Dir: dir, SegmentSize: 4 << 10})
	fill(t, j, 300, 11)
	var got, want bytes.Buffer
	for _, f := range files(t, dir, ".ndjson") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(b)
	}
	for n := range uint64(300) {
		want.WriteString(line(n+1) + "\n")
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Fatal("the files differ from what was appended")
	}
}

func TestAReaderBeginsAtAnyNumberAndAtAnyTime(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, journal.Options{Dir: dir, SegmentSize: 4 << 10})
	fill(t, j, 400, 6)
	for from := uint64(1); from <= 401; from += 3 {
		seen, gaps := readAll(t, dir, from)
		wantRun(t, seen, from, 401)
		if len(gaps) > 0 {
			t.Fatalf("from %d: gaps %v", from, gaps)
		}
		r := j.Reader(1)
		if err := r.SeekTime(when(from)); err != nil {
			t.Fatal(err)
		}
		seen, _ = drain(t, r)
		r.Close()
		// Batches are found, so up to five events before come too.
		if from <= 400 && (seen[0] > from || seen[0]+6 <= from) || from > 400 && len(seen) > 0 {
			t.Fatalf("time of %d: begins with %v", from, seen[0])
		}
	}
}

func TestAReaderThatWaitsIsTold(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, journal.Options{Dir: dir})
	r := j.Reader(0)
	defer r.Close()
	other, err := journal.OpenReader(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	got := make(chan uint64)
	for _, r := range []*journal.Reader{r, other} {
		go func() {
			var c journal.Chunk
			for {
				ok, err := r.Next(&c)
				if err == nil && !ok {
					err = r.Wait(context.Background())
				}
				if err != nil {
					t.Error(err)
				}
				if ok || err != nil {
					got <- c.First
					return
				}
			}
		}()
	}
	fill(t, j, 1, 1)
	for range 2 {
		if n := <-got; n != 1 {
			t.Fatalf("event %d", n)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, r := range []*journal.Reader{r, other} {
		if err := r.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("wait: %v", err)
		}
	}
}

func TestABatchThatIsWrongIsRefusedAndChangesNothing(t *testing.T) {
	j, _ := open(t, journal.Options{Dir: t.TempDir()})
	fill(t, j, 3, 3)
	before := j.Last()
	for name, b := range map[string]*journal.Batch{
		"last line without end":      {Lines: []byte("{}\n{}"), Events: 2},
		"fewer lines than announced": {Lines: []byte("{}\n"), Events: 2},
		"more lines than announced":  {Lines: []byte("{}\n{}\n"), Events: 1},
		"events without lines":       {Events: 1},
		"larger than a batch may be": {Lines: bytes.Repeat([]byte{'\n'}, journal.MaxBatch+1), Events: journal.MaxBatch + 1},
	} {
		var be *journal.BatchError
		if err := j.Append(b); !errors.As(err, &be) || !strings.HasPrefix(err.Error(), "journal: batch: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if j.Last() != before {
		t.Fatal("something changed")
	}
}

func TestABatchWithoutLinesMovesTheRingAndTheTotals(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, journal.Options{Dir: dir})
	fill(t, j, 2, 2)
	b := &journal.Batch{RingEpoch: 9, RingEnd: 4096}
	b.Counts[pdp.ClassImmune] = 5
	if err := j.Append(b); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j, _ = open(t, journal.Options{Dir: dir})
	if l := j.Last(); l.RingEpoch != 9 || l.RingEnd != 4096 || l.Pumped[pdp.ClassImmune] != 5 || l.Next() != 3 {
		t.Fatalf("last: %+v", l)
	}
	seen, _ := readAll(t, dir, 0)
	wantRun(t, seen, 1, 3)
}

func TestASecondWriterIsRefusedAndSaysWhere(t *testing.T) {
	dir := t.TempDir()
	open(t, journal.Options{Dir: dir})
	_, _, err := journal.Open(journal.Options{Dir: dir})
	var le *journal.LockedError
	if !errors.As(err, &le) || le.Dir != dir || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("err: %v", err)
	}
}

func TestBadDirectoriesAreRefusedByName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(name, content string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	sub := t.TempDir()
	if err := os.Mkdir(filepath.Join(sub, "00000000000000000001.ndjson"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, say string }{
		"no name":               {"", "needs a directory"},
		"a file":                {file, "not a directory"},
		"below a file":          {filepath.Join(file, "x"), "not a directory"},
		"another's segment":     {put("audit.ndjson", "{}\n"), "audit.ndjson: not named as"},
		"a number that is zero": {put("00000000000000000000.ndjson", "{}\n"), "not named as"},
		"another's side file":   {put("x.side", ""), "x.side"},
		"another's sink file":   {put("Big Name.sink", ""), "Big Name.sink"},
		"a folder as a segment": {sub, "not a regular file"},
	} {
		_, _, err := journal.Open(journal.Options{Dir: c.dir})
		if err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := journal.OpenReader(t.TempDir(), 0); err == nil || !strings.Contains(err.Error(), "no journal") {
		t.Errorf("reader of an empty directory: %v", err)
	}
	other := put("lost+found.txt", "")
	if j, _, err := journal.Open(journal.Options{Dir: other}); err != nil {
		t.Errorf("a file that does no harm: %v", err)
	} else {
		j.Close()
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	j, _ := open(t, journal.Options{Dir: t.TempDir()})
	r := j.Reader(0)
	defer r.Close()
	b := batch(1, 100)
	n := testing.AllocsPerRun(200, func() {
		if err := j.Append(b); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Fatalf("%v allocations an append", n)
	}
	var c journal.Chunk
	r.Next(&c)
	if n := testing.AllocsPerRun(100, func() {
		if ok, err := r.Next(&c); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}); n > 0 {
		t.Fatalf("%v allocations a read", n)
	}
}

func TestAppendAfterCloseSaysSo(t *testing.T) {
	j, _ := open(t, journal.Options{Dir: t.TempDir(), Fsync: journal.FsyncAlways})
	fill(t, j, 3, 1)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(batch(4, 1)); !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("append: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatalf("second close: %v", err)
	}
}

func TestFsyncIsReadAsItIsWritten(t *testing.T) {
	for _, s := range []string{"always", "never", "1s", "250ms"} {
		f, err := journal.ParseFsync(s)
		if err != nil || f.String() != s {
			t.Errorf("%s: %v %v", s, f, err)
		}
	}
	for _, s := range []string{"", "sometimes", "0s", "-1s", "1us"} {
		if _, err := journal.ParseFsync(s); err == nil || !strings.Contains(err.Error(), "fsync: expected") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestTheIntervalSyncsByItself(t *testing.T) {
	j, _ := open(t, journal.Options{Dir: t.TempDir(), Fsync: journal.Fsync(5 * time.Millisecond), SegmentSize: 4 << 10})
	fill(t, j, 200, 5)
	harness.Eventually(t, 10*time.Second, "it is synced", func() bool { return !j.Stats().LastSync.IsZero() })
}
