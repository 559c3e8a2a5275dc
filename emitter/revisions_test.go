package emitter_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"thymus/emitter"
)

func TestRevisionsAcrossLives(t *testing.T) {
	dir := t.TempDir()
	open := func() *emitter.Revisions {
		t.Helper()
		r, broken, err := emitter.OpenRevisions(dir)
		if err != nil || len(broken) > 0 {
			t.Fatal(err, broken)
		}
		return r
	}
	persist := func(r *emitter.Revisions, revision string) uint32 {
		t.Helper()
		s := snapshot(t)
		s.Revision = revision
		if err := r.Persist(s); err != nil || s.Seq == 0 {
			t.Fatal(s.Seq, err)
		}
		return s.Seq
	}
	r := open()
	one, two := persist(r, "one"), persist(r, "two")
	if again := persist(r, "one"); again != one || two == one {
		t.Errorf("the same rows have numbers %d and %d, others %d", one, again, two)
	}
	r = open()
	if rows := r.RowsForTest(two); rows == nil || rows.Revision != "two" || rows.Seq != two {
		t.Errorf("rows of an earlier life: %+v", rows)
	}
	if three := persist(r, "three"); three <= two {
		t.Errorf("number %d was given before", three)
	}

	os.Truncate(filepath.Join(dir, "0000000002.rows"), 30)
	r, broken, err := emitter.OpenRevisions(dir)
	if err != nil || len(broken) != 1 {
		t.Fatal(broken, err)
	}
	if r.RowsForTest(two) != nil || r.RowsForTest(one) == nil {
		t.Error("a broken file is believed, or takes others with it")
	}
	if four := persist(r, "four"); four <= 3 {
		t.Errorf("number %d was given before", four)
	}
}

func TestRevisionsPrune(t *testing.T) {
	dir := t.TempDir()
	r, _, err := emitter.OpenRevisions(dir)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	r.SetNowForTest(func() time.Time { return now })
	for _, rev := range []string{"one", "two"} {
		s := snapshot(t)
		s.Revision = rev
		if err := r.Persist(s); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(what string, want ...uint32) {
		t.Helper()
		if got := r.Seqs(); !slices.Equal(got, want) {
			t.Errorf("%s: %v are kept, want %v", what, got, want)
		}
	}
	r.Prune(1000, 1000)
	kept("calls under way may still use it", 1, 2)
	now = now.Add(2 * time.Minute)
	r.Prune(2000, 1000)
	kept("records that refer to it wait in the ring", 1, 2)
	r.Prune(9000, 1999)
	kept("not all of them are pumped", 1, 2)
	r.Prune(9000, 2000)
	kept("none is left", 2)
	if _, err := os.Stat(filepath.Join(dir, "0000000001.rows")); !os.IsNotExist(err) {
		t.Error("its file is still there", err)
	}
	now = now.Add(time.Hour)
	r.Prune(9000, 9000)
	kept("the active one stays", 2)
}

// A full disk must not keep new policies from being activated: records then say everything themselves.
func TestRevisionsOnADiskThatFails(t *testing.T) {
	dir := t.TempDir()
	r, _, err := emitter.OpenRevisions(filepath.Join(dir, "rev"))
	if err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(filepath.Join(dir, "rev"))
	s := snapshot(t)
	s.Seq = 7
	if err := r.Persist(s); err == nil || s.Seq != 0 {
		t.Errorf("seq %d, error %v", s.Seq, err)
	}
}

func FuzzRows(f *testing.F) {
	f.Add([]byte("thymrows"))
	f.Add(emitter.AppendRowsForTest(snapshot(f), 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := emitter.ParseRowsForTest(b); err == nil && r == nil {
			t.Fatal("neither rows nor an error")
		}
	})
}
