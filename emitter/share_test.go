package emitter_test

import (
	"fmt"
	"testing"

	"thymus/emitter"
	"thymus/pdp"
)

// TestSnapshotsThatDifferInLittleShareTheirRows keeps a stream of changes of a large set from holding every set whole.
func TestSnapshotsThatDifferInLittleShareTheirRows(t *testing.T) {
	folder := t.TempDir()
	r, _, err := emitter.OpenRevisions(folder)
	if err != nil {
		t.Fatal(err)
	}
	rows := func(change func(i int) (id, sentence string)) uint32 {
		s := &pdp.Snapshot{}
		for i := range 1000 {
			if id, sentence := change(i); id != "" {
				s.Rules = append(s.Rules, pdp.Rule{Policy: id, ID: "r", Sentence: sentence})
			}
		}
		s.Revision = fmt.Sprint(len(s.Rules), s.Rules)
		if err := r.Persist(s); err != nil {
			t.Fatal(err)
		}
		return s.Seq
	}
	id := func(i int) string { return fmt.Sprintf("p%04d", i) }
	first := rows(func(i int) (string, string) { return id(i), "before" })
	for _, c := range []struct {
		name   string
		change func(i int) (string, string)
		want   int
	}{
		{"one sentence differs", func(i int) (string, string) {
			if i == 500 {
				return id(i), "after"
			}
			return id(i), "before"
		}, 999},
		{"one is gone, and one as before", func(i int) (string, string) {
			if i == 3 {
				return "", ""
			}
			return id(i), "before"
		}, 998},
		{"one is new", func(i int) (string, string) {
			if i == 3 {
				return id(i) + "a", "before"
			}
			return id(i), "before"
		}, 998},
	} {
		next := rows(c.change)
		if n := r.SharedForTest(first, next); n != c.want {
			t.Errorf("%s: %d rows are shared, want %d", c.name, n, c.want)
		}
	}
	again, _, err := emitter.OpenRevisions(folder)
	if err != nil {
		t.Fatal(err)
	}
	if n := again.SharedForTest(first, first+1); n != 999 {
		t.Errorf("in the next life: %d rows are shared, want 999", n)
	}
}
