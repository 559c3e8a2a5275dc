package emitter_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/emitter/ring"
	"thymus/pdp"
)

// A kill at any step of a batch, and between any two writes of the journal: what the files hold at that moment is
// copied, opened as the next start would, and must lead to every record once. A mapped file and the page cache are
// what a kill leaves, so a copy of the files is a kill without the luck.
func TestDeathAtEveryStep(t *testing.T) {
	r := newRoom(t, 1<<20)
	at := map[string]int{}
	var lives []string
	die := func(where string) {
		at[where]++
		to := filepath.Join(t.TempDir(), "life")
		if err := os.CopyFS(to, os.DirFS(r.dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(to, "ring"), 0o600); err != nil {
			t.Fatal(err)
		}
		lives = append(lives, to)
	}
	p := r.pump(func(o *emitter.PumpOptions) {
		o.Detector = &detector{}
		o.SetHookForTest(func(step int) { die(fmt.Sprintf("step %d", step)) })
	})
	r.watch = die
	const records = 2800 // several batches
	for i := range records {
		rec, c := r.record(i), pdp.ClassAllow
		if i%7 == 0 {
			rec.Row, rec.Effect, rec.Flags, c = 1, pdp.Deny, rec.Flags&^pdp.FlagAllowed, pdp.ClassDeny
		}
		if !r.rec.Record(c, &rec) {
			t.Fatal("the ring is full")
		}
	}
	if err := p.Drain(); err != nil {
		t.Fatal(err)
	}
	whole := r.lines()
	if len(at) < 5 || len(lives) < 30 {
		t.Fatalf("too few deaths for this to show anything: %v", at)
	}
	for i, dir := range lives {
		next := &room{t: t, dir: dir, revs: r.revs, snap: r.snap}
		var err error
		if next.ring, _, err = ring.Open(ring.Options{Path: dir, Name: "ring", Size: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		next.openJournal()
		q := next.pump(func(o *emitter.PumpOptions) { o.Detector = &detector{} })
		if err := q.Drain(); err != nil {
			t.Fatal(err)
		}
		balanced(t, q)
		lines := next.lines()
		if seen := evaluated(t, lines); len(seen) != records {
			t.Errorf("life %d: %d decisions, want %d", i, len(seen), records)
		}
		// The decisions' own events are the same bytes; a detector starts anew and numbers its threats from 1.
		same := 0
		for n := range min(len(lines), len(whole)) {
			if lines[n] == whole[n] {
				same++
			}
		}
		if len(lines) != len(whole) || same < records {
			t.Errorf("life %d: %d lines, %d as without the death; want %d", i, len(lines), same, len(whole))
		}
		next.j.Close()
		next.ring.Close()
		if rep, err := journal.Verify(filepath.Join(dir, "journal"), nil, nil); err != nil || !rep.OK() {
			t.Errorf("life %d: %v %+v", i, err, rep)
		}
	}
	t.Logf("%d deaths: %v", len(lives), at)
}
