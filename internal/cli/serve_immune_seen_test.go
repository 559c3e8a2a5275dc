package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"thymus/pdp"
)

// watch is a folder of what detection observed, and what is said about it.
type watch struct {
	t    *testing.T
	dir  string
	said bytes.Buffer
}

func (w *watch) open(secret string) *seen {
	return &seen{dir: w.dir, prefix: seenPrefix, secret: []byte(secret), log: zerolog.New(&w.said)}
}

func (w *watch) file(n int) string { return filepath.Join(w.dir, fmt.Sprint(seenPrefix, n)) }

// batch notes records of the given subjects; the journal has end events with it.
func (w *watch) batch(l *seen, end uint64, subjects ...string) {
	for _, s := range subjects {
		l.add(&pdp.Record{Time: int64(end), Seq: 7, Row: 3, Flags: pdp.FlagResource | pdp.FlagInput, Effect: pdp.Deny, SubjectType: "agent",
			SubjectID: s, Action: "open", Resource: strings.Repeat("r", pdp.MaxResource), Correlation: "c", Input: []byte("{}")},
			func(seq uint32) string { return fmt.Sprint("r", seq) })
	}
	l.Keep(end)
}

func (w *watch) replay(secret string, from, next uint64) (ids []string) {
	w.open(secret).replay(from, next, func(r *pdp.Record) {
		if r.Revision != "r7" || r.Effect != pdp.Deny || r.SubjectType != "agent" || r.Action != "open" || len(r.Resource) != pdp.MaxResource ||
			!r.Flags.Has(pdp.FlagResource) || r.Correlation != "" || r.Input != nil {
			w.t.Errorf("got %+v", r)
		}
		ids = append(ids, strings.Clone(r.SubjectID))
	})
	return ids
}

func TestWhatWasObservedIsObservedAgain(t *testing.T) {
	w := &watch{t: t, dir: t.TempDir()}
	l := w.open("secret")
	w.batch(l, 10, "a", "b")
	w.batch(l, 12, "c")
	l.turn(100)
	w.batch(l, 20, "d")
	w.batch(l, 30, "e", "f")
	l.close()
	for _, c := range []struct {
		name       string
		from, next uint64
		want       string
	}{
		{"all of it", 0, 30, "a b c d e f"},
		{"behind a snapshot", 1, 30, "d e f"},
		{"what the journal has", 0, 29, "a b c d"},
		{"what the journal has of the first file", 0, 10, "a b"},
		{"nothing", 2, 30, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(w.replay("secret", c.from, c.next), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if !l.whole(30) || l.whole(29) {
		t.Error("it does not know what the journal has")
	}
	for _, n := range []int{0, 1} {
		b, err := os.ReadFile(w.file(n))
		if err != nil || bytes.Contains(b, []byte("agent")) || bytes.Contains(b, []byte("rrrr")) {
			t.Errorf("file %d is readable without the key (%v)", n, err)
		}
	}
	if got := w.replay("another", 0, 30); got != nil || !strings.Contains(w.said.String(), "sealed") {
		t.Errorf("another key: %q, said %s", got, w.said.String())
	}
	if err := l.remove(1); err != nil || !slices.Equal(seenFiles(w.dir, seenPrefix), []uint64{1}) {
		t.Errorf("%v are left, %v", seenFiles(w.dir, seenPrefix), err)
	}
}

// A kill tears the last batch, and a disk may hold anything: what is whole before it is observed, nothing else is.
func TestOfADamagedFileTheBatchesBeforeAreObserved(t *testing.T) {
	w := &watch{t: t, dir: t.TempDir()}
	l := w.open("secret")
	w.batch(l, 1, "a")
	first := l.size
	w.batch(l, 2, "b")
	l.close()
	good, err := os.ReadFile(w.file(0))
	if err != nil {
		t.Fatal(err)
	}
	head := len(seenMagic) + seenSalt
	for n := 0; n < len(good); n += 1 + n%7 {
		want := ""
		if n >= head+first {
			want = "a"
		}
		changed := bytes.Clone(good)
		changed[n] ^= 4
		for what, b := range map[string][]byte{"cut": good[:n], "changed": changed} {
			if err := os.WriteFile(w.file(0), b, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(w.replay("secret", 0, 2), " "); got != want {
				t.Fatalf("%s at %d of %d: %q, want %q", what, n, len(good), got, want)
			}
		}
	}
	// Two batches that changed places are none.
	swapped := slices.Concat(good[:head], good[head+first:], good[head:head+first])
	if err := os.WriteFile(w.file(0), swapped, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := w.replay("secret", 0, 2); got != nil {
		t.Errorf("swapped: %q", got)
	}
}

// What detection observed is bounded: a snapshot stands for it.
func TestASnapshotIsDueOnceTheFilesAreLarge(t *testing.T) {
	w := &watch{t: t, dir: t.TempDir()}
	l := w.open("secret")
	l.turn(1 << 20)
	n := uint64(1)
	for ; !l.due(); n++ {
		l.add(&pdp.Record{SubjectID: "a", Resource: strings.Repeat("r", 4000)}, nil)
		if l.due() {
			t.Fatal("in the middle of a batch")
		}
		l.Keep(n)
	}
	if l.size < seenLeast || l.size > seenLeast+8<<10 {
		t.Errorf("due at %d bytes", l.size)
	}
	l.ready.Store(&snapshot{})
	if l.due() {
		t.Error("a snapshot waits to be written")
	}
	l.ready.Store(nil)
	l.turn(10 << 20)
	if l.due() || l.number != 2 {
		t.Errorf("due at once, file %d", l.number)
	}
	l.close()
}

// What it costs the pump to note down a decision, in batches of 100 and written:
//
//	go test ./internal/cli -run '^$' -bench Seen -benchmem -count 6 | benchstat -
func BenchmarkSeen(b *testing.B) {
	l := (&watch{dir: b.TempDir()}).open("secret")
	rec := pdp.Record{Seq: 1, Flags: pdp.FlagRole | pdp.FlagResource, Effect: pdp.Deny, SubjectType: "agent", SubjectID: "agent-12345",
		Role: "operator", Action: "deploy_application", Resource: "production_cluster"}
	name := func(uint32) string { return "1ba076132bee917d90f9a84e6753c3a5" }
	b.ReportAllocs()
	for i := range b.N {
		l.add(&rec, name)
		if i%100 == 99 {
			l.Keep(uint64(i))
		}
		if l.size > seenLeast {
			l.turn(0)
			if err := l.remove(l.number); err != nil {
				b.Fatal(err)
			}
		}
	}
	l.close()
}
