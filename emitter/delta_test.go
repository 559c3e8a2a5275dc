package emitter_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"thymus/emitter"
	"thymus/pdp"
)

// manyRules are the rules of n policies, in the order of a snapshot.
func manyRules(n int) (rules []pdp.Rule) {
	for i := range n {
		id := fmt.Sprintf("p%05d", i)
		rules = append(rules, pdp.Rule{Policy: id, ID: "a", Sentence: "Allowed by rule 'A'"},
			pdp.Rule{Policy: id, ID: "b", Sentence: "because", Reason: "because"})
	}
	return rules
}

func rowOf(r *pdp.Rule) string {
	return fmt.Sprintf("%q%q%q%s", r.Policy, r.ID, r.Sentence, r.Reason)
}

type rowSets map[uint32][]pdp.Rule

func (sets rowSets) check(t *testing.T, r *emitter.Revisions) {
	t.Helper()
	for seq, rules := range sets {
		for i := range rules {
			if got := r.RowForTest(seq, i); got != rowOf(&rules[i]) {
				t.Fatalf("set %d, row %d: %s, want %s", seq, i, got, rowOf(&rules[i]))
			}
		}
		if got := r.RowForTest(seq, len(rules)); got != "" {
			t.Fatalf("set %d has a row behind its last: %s", seq, got)
		}
	}
}

func openRevisions(t *testing.T, dir string, wantBroken int) *emitter.Revisions {
	t.Helper()
	r, broken, err := emitter.OpenRevisions(dir)
	if err != nil || len(broken) != wantBroken {
		t.Fatalf("%v, %d broken: %v", err, len(broken), broken)
	}
	return r
}

func TestRowsOfSetsThatDifferInLittleAreWrittenAsWhatDiffers(t *testing.T) {
	dir := t.TempDir()
	r := openRevisions(t, dir, 0)
	rng := rand.New(rand.NewPCG(3, 4))
	rules, sets := manyRules(400), rowSets{}
	persist := func() (seq uint32) {
		s := &pdp.Snapshot{Revision: fmt.Sprint("revision ", len(sets)), Rules: slices.Clone(rules)}
		if err := r.Persist(s); err != nil {
			t.Fatal(err)
		}
		sets[s.Seq] = s.Rules
		return s.Seq
	}
	first := persist()
	whole, deltas, written := 0, 0, int64(0)
	for n := range 300 {
		at := rng.IntN(len(rules))
		switch n % 5 {
		case 0: // one more, maybe the first or the last
			id := []string{"a", "z", rules[at].Policy + "x"}[rng.IntN(3)]
			rules = append(rules, pdp.Rule{Policy: id, ID: fmt.Sprintf("n%03d", n), Sentence: "new"})
			slices.SortFunc(rules, func(a, b pdp.Rule) int { return pdp.CompareRules(a, b) })
		case 1: // one fewer
			rules = slices.Delete(rules, at, at+1)
		case 2: // another sentence: the order stays
			rules = slices.Clone(rules)
			rules[at].Sentence = fmt.Sprintf("changed %0100d", n)
		case 3: // a stretch is gone
			rules = slices.Delete(rules, at, min(len(rules), at+rng.IntN(10)))
		case 4: // nothing but the revision
		}
		seq := persist()
		if r.BaseForTest(seq) != 0 {
			deltas++
		} else {
			whole++
		}
		info, err := os.Stat(filepath.Join(dir, fmt.Sprintf("%010d.rows", seq)))
		if err != nil {
			t.Fatal(err)
		}
		written += info.Size()
	}
	if whole == 0 || deltas < 10*whole {
		t.Errorf("%d sets lie there whole, %d as what differs: too little was tried, or too much is written", whole, deltas)
	}
	info, err := os.Stat(filepath.Join(dir, fmt.Sprintf("%010d.rows", first)))
	if err != nil {
		t.Fatal(err)
	}
	if each := written / 300; each > info.Size()/5 {
		t.Errorf("a change writes %d bytes of %d", each, info.Size())
	}
	sets.check(t, r)
	sets.check(t, openRevisions(t, dir, 0))
}

func TestRowsThatOthersAreBasedOnStayAsLongAsThose(t *testing.T) {
	dir := t.TempDir()
	r := openRevisions(t, dir, 0)
	now := time.Unix(1e9, 0)
	r.SetNowForTest(func() time.Time { return now })
	persist := func(revision string, rules []pdp.Rule) (seq uint32) {
		t.Helper()
		s := &pdp.Snapshot{Revision: revision, Rules: rules}
		if err := r.Persist(s); err != nil {
			t.Fatal(err)
		}
		return s.Seq
	}
	rules := manyRules(1000)
	base := persist("base", rules)
	one := persist("one", rules[1:])
	now = now.Add(2 * time.Minute)
	r.Prune(100, 50)
	r.Prune(200, 150)
	if got := r.Seqs(); !slices.Equal(got, []uint32{base, one}) {
		t.Fatalf("%v are kept: the set that decides is based on %d", got, base)
	}
	rowSets{one: rules[1:]}.check(t, openRevisions(t, dir, 0))

	other := persist("other", manyRules(3)) // small, and so whole
	now = now.Add(2 * time.Minute)
	r.Prune(300, 200)
	r.Prune(400, 350)
	large := persist("large", manyRules(2000)) // another base
	now = now.Add(2 * time.Minute)
	r.Prune(500, 400)
	r.Prune(600, 550)
	if got := r.Seqs(); !slices.Equal(got, []uint32{large}) {
		t.Errorf("%v are kept of %d, %d, %d, %d: nothing refers to any but the last", got, base, one, other, large)
	}
}

func TestRowsAreNoneWithoutThoseTheyAreBasedOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		injure func(t *testing.T, base string)
	}{
		{"the base is gone", func(t *testing.T, base string) { fatal(t, os.Remove(base)) }},
		{"the base is cut short", func(t *testing.T, base string) { fatal(t, os.Truncate(base, 5000)) }},
		{"the base is another", func(t *testing.T, base string) {
			b := emitter.AppendRowsForTest(&pdp.Snapshot{Revision: "x", Rules: manyRules(999)}, 1)
			fatal(t, os.WriteFile(base, b, 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			r := openRevisions(t, dir, 0)
			rules := manyRules(1000)
			for i, part := range [][]pdp.Rule{rules, rules[1:]} {
				s := &pdp.Snapshot{Revision: fmt.Sprint(i), Rules: part}
				fatal(t, r.Persist(s))
				if want := uint32(i); r.BaseForTest(s.Seq) != want {
					t.Fatalf("set %d is based on %d, want %d", s.Seq, r.BaseForTest(s.Seq), want)
				}
			}
			c.injure(t, filepath.Join(dir, "0000000001.rows"))
			r, broken, err := emitter.OpenRevisions(dir)
			if err != nil || len(broken) == 0 || !errors.Is(broken[len(broken)-1], emitter.ErrRows) {
				t.Fatalf("%v, broken: %v", err, broken)
			}
			if r.RowsForTest(2) != nil {
				t.Error("rows are read that are based on others")
			}
			s := &pdp.Snapshot{Revision: "next", Rules: rules}
			fatal(t, r.Persist(s))
			rowSets{s.Seq: rules}.check(t, openRevisions(t, dir, 0))
		})
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
