package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thymus/emitter/journal"
)

// injured is a closed journal of 400 events in batches of 6 that a test damages.
type injured struct {
	t    *testing.T
	dir  string
	segs []string // paths of the segments, in order
}

const record = 256 // bytes of a side record

func hurt(t *testing.T) *injured {
	t.Helper()
	dir := t.TempDir()
	j, _ := open(t, journal.Options{Dir: dir, SegmentSize: 4 << 10})
	fill(t, j, 400, 6)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return &injured{t, dir, files(t, dir, ".ndjson")}
}

func (d *injured) lines(i int) string { return d.segs[(i+len(d.segs))%len(d.segs)] }
func (d *injured) side(i int) string  { return strings.TrimSuffix(d.lines(i), ".ndjson") + ".side" }

// first is the number that names segment i.
func (d *injured) first(i int) (n uint64) {
	fmt.Sscanf(filepath.Base(d.lines(i)), "%d", &n)
	return n
}

// events is how many segment i holds.
func (d *injured) events(i int) int {
	if i = (i + len(d.segs)) % len(d.segs); i == len(d.segs)-1 {
		return int(401 - d.first(i))
	}
	return int(d.first(i+1) - d.first(i))
}

func (d *injured) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *injured) cut(path string, n int64) { d.must(os.Truncate(path, size(d.t, path)-n)) }

func (d *injured) edit(path string, fn func(b []byte) []byte) {
	b, err := os.ReadFile(path)
	d.must(err)
	d.must(os.WriteFile(path, fn(b), 0o600))
}

func (d *injured) flip(path string, at int64) {
	d.edit(path, func(b []byte) []byte {
		if at < 0 {
			at += int64(len(b))
		}
		b[at] ^= 0x10
		return b
	})
}

func (d *injured) swap(a, b string) {
	x, err := os.ReadFile(a)
	d.must(err)
	y, err := os.ReadFile(b)
	d.must(err)
	d.must(os.WriteFile(a, y, 0o600))
	d.must(os.WriteFile(b, x, 0o600))
}

func TestDamageIsNamedTheRestSurvivesAndAppendsGoOn(t *testing.T) {
	type want struct {
		says    string // in a problem that verify finds before the repair; empty: it finds none
		survive int    // events that a reader gives after reopening
		next    uint64 // number that the next event has
		repair  func(r *journal.Repair) bool
		heals   bool // after the repair verify finds nothing
	}
	for name, c := range map[string]func(d *injured) want{
		"nothing": func(d *injured) want {
			return want{"", 400, 401, (*journal.Repair).Clean, true}
		},
		"the tail is cut within the last line": func(d *injured) want {
			d.cut(d.lines(-1), 10)
			return want{"10 bytes of", 399, 401, func(r *journal.Repair) bool { return r.Lost == 1 }, true}
		},
		"the tail is cut by more than two batches": func(d *injured) want {
			l := int64(len(line(400)) + 1)
			d.cut(d.lines(-1), 12*l+5) // 4 events of the last batch, 6, 2 and a piece of the third
			return want{"are missing", 387, 401, func(r *journal.Repair) bool { return r.Lost == 13 }, true}
		},
		"the last segment is empty": func(d *injured) want {
			d.must(os.Truncate(d.lines(-1), 0))
			n := d.events(-1)
			return want{"are missing", 400 - n, 401, func(r *journal.Repair) bool { return r.Lost == uint64(n) }, true}
		},
		"the last segment is gone": func(d *injured) want {
			d.must(os.Remove(d.lines(-1)))
			n := d.events(-1)
			return want{"the segment is missing", 400 - n, 401, func(r *journal.Repair) bool { return r.Lost == uint64(n) }, true}
		},
		"the last segment ends with zeros": func(d *injured) want {
			d.edit(d.lines(-1), func(b []byte) []byte { clear(b[len(b)-100:]); return b })
			return want{"not the line that was written", 398, 401, func(r *journal.Repair) bool { return r.Lost == 2 }, true}
		},
		"lines lie behind the last side record": func(d *injured) want {
			d.edit(d.lines(-1), func(b []byte) []byte { return append(b, batch(401, 3).Lines[:200]...) })
			return want{"", 400, 401, func(r *journal.Repair) bool { return r.Withdrawn == 200 }, true}
		},
		"the last side record is cut": func(d *injured) want {
			d.cut(d.side(-1), 100)
			return want{"", 396, 397, func(r *journal.Repair) bool { return r.Torn == 156 && r.Withdrawn > 0 }, true}
		},
		"a bit of the last side record is flipped": func(d *injured) want {
			d.flip(d.side(-1), -100)
			return want{"", 400, 401, func(r *journal.Repair) bool { return r.Adopted == 4 && len(r.Damage) == 1 }, true}
		},
		"a bit of a side record in the last segment is flipped": func(d *injured) want {
			d.flip(d.side(-1), -record-100)
			return want{"side record's checksum", 394, 401, func(r *journal.Repair) bool { return len(r.Damage) == 1 }, false}
		},
		"a bit of the record that opens the last segment is flipped": func(d *injured) want {
			d.flip(d.side(-1), 70)
			return want{"side record's checksum", 400, 401, func(r *journal.Repair) bool { return len(r.Damage) == 1 }, false}
		},
		"a bit of a side record before is flipped": func(d *injured) want {
			d.flip(d.side(2), 3*record+60)
			return want{".side:4: side record's checksum", 394, 401, (*journal.Repair).Clean, false}
		},
		"a side file is gone": func(d *injured) want {
			d.must(os.Remove(d.side(2)))
			n := uint64(d.events(2))
			return want{"the side file is missing", 400, 401, func(r *journal.Repair) bool { return r.Adopted == n }, false}
		},
		"the last side file is gone": func(d *injured) want {
			d.must(os.Remove(d.side(-1)))
			n := uint64(d.events(-1))
			return want{"the side file is missing", 400, 401, func(r *journal.Repair) bool { return r.Adopted == n }, true}
		},
		"the last side file is empty": func(d *injured) want {
			d.must(os.Truncate(d.side(-1), 0))
			n := uint64(d.events(-1))
			return want{"holds no record", 400, 401, func(r *journal.Repair) bool { return r.Adopted == n }, true}
		},
		"the last side file holds something else": func(d *injured) want {
			d.edit(d.side(-1), func(b []byte) []byte { return bytes.Repeat([]byte("not a side record"), 100) })
			n := uint64(d.events(-1))
			return want{"holds no record", 400, 401, func(r *journal.Repair) bool { return r.Adopted == n }, true}
		},
		"a side file lost its end": func(d *injured) want {
			d.cut(d.side(2), 2*record)
			return want{"bytes behind the last side record", 388, 401, func(r *journal.Repair) bool { return len(r.Damage) > 0 }, false}
		},
		"a bit of a line is flipped": func(d *injured) want {
			d.flip(d.lines(2), int64(20*(len(line(100))+1)+30))
			return want{".ndjson:21: byte 34 is 0x20 and was 0x30", 394, 401, (*journal.Repair).Clean, false}
		},
		"an event is forged": func(d *injured) want {
			d.edit(d.lines(2), func(b []byte) []byte { return bytes.Replace(b, []byte("evaluated"), []byte("forgotten"), 1) })
			return want{".ndjson:1-6: not the lines that were written", 394, 401, (*journal.Repair).Clean, false}
		},
		"two lines changed places": func(d *injured) want {
			d.edit(d.lines(1), func(b []byte) []byte {
				ls := bytes.SplitAfter(b, []byte("\n"))
				ls[7], ls[8] = ls[8], ls[7]
				return bytes.Join(ls, nil)
			})
			return want{".ndjson:7-12: not the lines that were written", 394, 401, (*journal.Repair).Clean, false}
		},
		"a line is no JSON any more": func(d *injured) want {
			d.edit(d.lines(1), func(b []byte) []byte {
				ls := bytes.SplitAfter(b, []byte("\n"))
				copy(ls[9], "garbage!")
				return b
			})
			return want{".ndjson:10: not the line that was written: no JSON", 394, 401, (*journal.Repair).Clean, false}
		},
		"a segment is gone": func(d *injured) want {
			d.must(os.Remove(d.lines(2)))
			return want{"the segment is missing", 400 - d.events(2), 401, func(r *journal.Repair) bool { return len(r.Damage) == 1 }, false}
		},
		"a segment and its side file are gone": func(d *injured) want {
			d.must(os.Remove(d.lines(2)))
			d.must(os.Remove(d.side(2)))
			return want{fmt.Sprintf("number %d follows %d", d.first(3), d.first(2)-1), 400 - d.events(2), 401,
				func(r *journal.Repair) bool { return len(r.Damage) == 1 }, false}
		},
		"a segment is empty": func(d *injured) want {
			d.must(os.Truncate(d.lines(3), 0))
			return want{"bytes of", 400 - d.events(3), 401, func(r *journal.Repair) bool { return len(r.Damage) == 1 }, false}
		},
		"two segments changed places": func(d *injured) want {
			d.swap(d.lines(1), d.lines(2))
			return want{"not the line that was written", 400 - d.events(1) - d.events(2), 401, nil, false}
		},
		"two segments changed places with their side files": func(d *injured) want {
			d.swap(d.lines(1), d.lines(2))
			d.swap(d.side(1), d.side(2))
			return want{"which is not its name", -1, 401, nil, false}
		},
		"the oldest segment is gone": func(d *injured) want {
			d.must(os.Remove(d.lines(0)))
			return want{"", 400 - d.events(0), 401, (*journal.Repair).Clean, true}
		},
		"a successor was only begun": func(d *injured) want {
			d.must(os.WriteFile(filepath.Join(d.dir, "00000000000000000401.ndjson"), nil, 0o600))
			d.must(os.WriteFile(filepath.Join(d.dir, "00000000000000000401.side"), make([]byte, 99), 0o600))
			return want{"", 400, 401, func(r *journal.Repair) bool { return r.Dropped == 1 }, true}
		},
		"a replacement was interrupted": func(d *injured) want {
			d.must(os.WriteFile(filepath.Join(d.dir, "kafka.sink.tmp"), []byte("x"), 0o600))
			return want{"", 400, 401, (*journal.Repair).Clean, true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := hurt(t)
			w := c(d)
			rep, err := journal.Verify(d.dir, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			said := fmt.Sprint(rep.Problems)
			if w.says == "" && !rep.OK() || !strings.Contains(said, w.says) || w.says != "" && rep.OK() {
				t.Errorf("verify says %s, want %q", said, w.says)
			}
			j, r := open(t, journal.Options{Dir: d.dir, SegmentSize: 4 << 10})
			if w.repair != nil && !w.repair(r) {
				t.Errorf("repair: %v, %v", r, r.Damage)
			}
			if j.Next() != w.next {
				t.Errorf("next is %d, want %d", j.Next(), w.next)
			}
			fill(t, j, 100, 9)
			seen, gaps := readAll(t, d.dir, 1)
			for i := range seen[1:] {
				if seen[i] >= seen[i+1] {
					t.Fatalf("%d before %d", seen[i], seen[i+1])
				}
			}
			missing := uint64(0)
			for _, g := range gaps {
				missing += g.Count()
			}
			if w.survive >= 0 && len(seen) != w.survive+100 {
				t.Errorf("%d events survive, want %d; gaps %v", len(seen)-100, w.survive, gaps)
			}
			if uint64(len(seen))+missing != w.next+99 {
				t.Errorf("%d events and %d in gaps, want %d", len(seen), missing, w.next+99)
			}
			inside := j.Reader(1)
			defer inside.Close()
			if own, _ := drain(t, inside); len(own) != len(seen) {
				t.Errorf("the writer's own reader sees %d events, another's %d", len(own), len(seen))
			}
			if w.heals {
				verifies(t, d.dir)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if _, again := open(t, journal.Options{Dir: d.dir}); w.heals && !again.Clean() {
				t.Errorf("the second repair finds: %v", again)
			}
		})
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	d := hurt(t)
	for _, path := range []string{d.lines(1), d.side(1)} {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 3; at < len(whole); at += 41 {
			b := bytes.Clone(whole)
			b[at] ^= 1 << (at % 8)
			d.must(os.WriteFile(path, b, 0o600))
			rep, err := journal.Verify(d.dir, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(rep.Problems) == 0 {
				t.Fatalf("%s: a flipped bit at %d is not found", path, at)
			}
			if path == d.lines(1) {
				p := rep.Problems[0]
				if want := 1 + bytes.Count(whole[:at], []byte("\n")); p.Line != want || p.To != want || len(rep.Problems) > 1 {
					t.Fatalf("bit at %d: %v, want line %d alone", at, rep.Problems, want)
				}
			}
		}
		d.must(os.WriteFile(path, whole, 0o600))
	}
}

func TestATruncationAtAnyByteLeavesAJournalThatGoesOn(t *testing.T) {
	d := hurt(t)
	for _, which := range []string{d.lines(-1), d.side(-1)} {
		total := size(t, which)
		for n := int64(0); n <= total; n += 97 {
			dir := killed(t, d.dir)
			path := filepath.Join(dir, filepath.Base(which))
			if err := os.Truncate(path, n); err != nil {
				t.Fatal(err)
			}
			j, rep, err := journal.Open(journal.Options{Dir: dir, SegmentSize: 4 << 10})
			if err != nil {
				t.Fatalf("%s at %d: %v", filepath.Base(which), n, err)
			}
			next := j.Next()
			fill(t, j, 20, 3)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			seen, gaps := readAll(t, dir, 1)
			missing := uint64(0)
			for _, g := range gaps {
				missing += g.Count()
			}
			if uint64(len(seen))+missing != next+19 || missing != rep.Lost {
				t.Fatalf("%s at %d: %d seen, %d in gaps, next was %d; %v", filepath.Base(which), n, len(seen), missing, next, rep)
			}
			verifies(t, dir)
		}
	}
}

func TestNumbersThatASinkHasSeenAreNeverGivenAgain(t *testing.T) {
	d := hurt(t)
	j, _ := open(t, journal.Options{Dir: d.dir, Sinks: []string{"kafka"}})
	s, _ := j.Sink("kafka")
	r := j.Reader(s.Resume(1))
	var c journal.Chunk
	for {
		if ok, err := r.Next(&c); err != nil || !ok {
			break
		}
		for seq := range c.All {
			s.Take(0, seq)
		}
		if err := s.Ack(0, c.First+uint64(c.Events), uint64(c.Events), 0); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	j.Close()
	d.cut(d.lines(-1), 300) // power failure: the last lines and side records are gone, the sink's position is not
	d.cut(d.side(-1), 2*record)
	j, rep := open(t, journal.Options{Dir: d.dir, Sinks: []string{"kafka"}})
	if rep.Skipped == 0 || j.Next() != 401 {
		t.Fatalf("next %d; %v", j.Next(), rep)
	}
	fill(t, j, 10, 5)
	s, _ = j.Sink("kafka")
	if got := s.Counters(); got.Delivered != 400 || got.Pending != 10 || got.Journaled != 410 {
		t.Fatalf("%+v", got)
	}
	verifies(t, d.dir)
}

func TestAJournalOfAnotherVersionIsRefusedAndLeftAsItIs(t *testing.T) {
	for name, c := range map[string]struct{ ext, say string }{
		"side file": {".side", "written in version 2 of the layout, this program reads version 1"},
		"sink file": {".sink", "kafka.sink: written in another version of the layout"},
	} {
		d := hurt(t)
		j, _ := open(t, journal.Options{Dir: d.dir, Sinks: []string{"kafka"}})
		j.Close()
		for _, f := range files(t, d.dir, c.ext) {
			d.edit(f, func(b []byte) []byte { return journal.OfVersion(b, 2) })
		}
		before := killed(t, d.dir)
		_, _, err := journal.Open(journal.Options{Dir: d.dir, Sinks: []string{"kafka"}})
		var fe *journal.ForeignError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", name, err)
		}
		for _, f := range files(t, before, "*") {
			b, err := os.ReadFile(f)
			d.must(err)
			after, err := os.ReadFile(filepath.Join(d.dir, filepath.Base(f)))
			if err != nil || !bytes.Equal(b, after) {
				t.Errorf("%s: %s has changed: %v", name, filepath.Base(f), err)
			}
		}
		if c.ext == ".side" {
			if _, err := journal.OpenReader(d.dir, 0); err == nil {
				t.Error("a reader opens it")
			}
			if _, err := journal.Verify(d.dir, nil, nil); err == nil {
				t.Error("verify opens it")
			}
		}
	}
}

func TestADirectoryThatCannotBeReadIsSaid(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads any directory")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if _, _, err := journal.Open(journal.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Fatalf("%v", err)
	}
	if _, err := journal.OpenReader(dir, 0); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Fatalf("%v", err)
	}
}
