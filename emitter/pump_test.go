package emitter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/emitter/ring"
	"thymus/pdp"
	"thymus/test/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is a ring on the heap, a journal on disk and the rows of a snapshot.
type room struct {
	t     testing.TB
	dir   string
	ring  *ring.Ring
	j     *journal.Journal
	revs  *emitter.Revisions
	snap  *pdp.Snapshot
	rec   *emitter.Recorder
	fail  error              // what the journal's disk answers
	watch func(where string) // called before and after each write of the journal
	mu    sync.Mutex
}

func newRoom(t testing.TB, size uint64) *room {
	t.Helper()
	r := &room{t: t, dir: t.TempDir()}
	var err error
	if r.ring, _, err = ring.Open(ring.Options{Path: r.dir, Name: "ring", Size: size}); err != nil {
		t.Fatal(err)
	}
	r.snap, r.revs = persisted(t)
	r.openJournal()
	r.rec = emitter.NewRecorder(r.ring)
	t.Cleanup(func() { r.j.Close(); r.ring.Close() })
	return r
}

func (r *room) openJournal() {
	r.t.Helper()
	var err error
	r.j, _, err = journal.Open(journal.Options{Dir: filepath.Join(r.dir, "journal"), Fsync: journal.FsyncNever,
		WriteAt: func(f *os.File, p []byte, off int64) (int, error) {
			r.mu.Lock()
			fail := r.fail
			r.mu.Unlock()
			if fail != nil {
				n, _ := f.WriteAt(p[:len(p)/2], off) // a torn write
				return n, fail
			}
			if r.watch == nil {
				return f.WriteAt(p, off)
			}
			r.watch("before " + filepath.Ext(f.Name()))
			defer r.watch("after " + filepath.Ext(f.Name()))
			return f.WriteAt(p, off)
		}})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) failWith(err error) { r.mu.Lock(); r.fail = err; r.mu.Unlock() }

func (r *room) pump(edit func(o *emitter.PumpOptions)) *emitter.Pump {
	r.t.Helper()
	if _, err := emitter.Recover(r.ring, r.j); err != nil {
		r.t.Fatal(err)
	}
	o := emitter.PumpOptions{Ring: r.ring, Journal: r.j, Instance: "host-1", Rows: r.revs,
		Unreadable: func(pos uint64, b []byte, err error) { r.t.Errorf("unreadable at %d: %v", pos, err) }}
	if edit != nil {
		edit(&o)
	}
	return emitter.NewPump(o)
}

// start runs p and returns what stops it and reports its error.
func start(p *emitter.Pump) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

// lines are the events in the journal's files.
func (r *room) lines() (out []string) {
	r.t.Helper()
	names, err := filepath.Glob(filepath.Join(r.dir, "journal", "*.ndjson"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, n := range names { // Glob sorts
		b, err := os.ReadFile(n)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(b) > 0 {
			out = append(out, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
		}
	}
	return out
}

func (r *room) record(n int) pdp.Record {
	rec := base(r.snap)
	rec.ID = pdp.NewID(int64(n), 0, uint64(n))
	return rec
}

// balanced checks the first equation of CONTRACT 6 once nothing is in flight.
func balanced(t testing.TB, p *emitter.Pump) emitter.Account {
	t.Helper()
	a := p.Account()
	for c := range a.Offered {
		if a.Offered[c] != a.Pumped[c]+a.Pending[c]+a.Shed[c] {
			t.Errorf("%v: offered %d != pumped %d + pending %d + shed %d", pdp.Class(c), a.Offered[c], a.Pumped[c], a.Pending[c], a.Shed[c])
		}
	}
	return a
}

func total(n [pdp.Classes]uint64) (sum uint64) {
	for _, x := range n {
		sum += x
	}
	return sum
}

// counts says how often each decision was evaluated, by the journal.
func evaluated(t testing.TB, lines []string) map[string]int {
	t.Helper()
	seen, ids := map[string]int{}, map[string]bool{}
	for _, l := range lines {
		var e struct {
			ID, Type string
			Payload  struct {
				DecisionID string `json:"decision_id"`
			}
		}
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		if ids[e.ID] {
			t.Fatalf("event %s is there twice", e.ID)
		}
		ids[e.ID] = true
		if e.Type == emitter.TypeEvaluated {
			seen[e.Payload.DecisionID]++
		}
	}
	return seen
}

func TestPumpMovesAllOnceInOrder(t *testing.T) {
	r := newRoom(t, 1<<20)
	p := r.pump(nil)
	stop := start(p)
	const producers, each = 4, 3000
	var wg sync.WaitGroup
	for w := range producers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				rec := r.record(w*each + i)
				for !r.rec.Record(pdp.ClassAllow, &rec) {
					time.Sleep(time.Millisecond) // the ring is full: let the pump come round
				}
			}
		}()
	}
	wg.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	seen := evaluated(t, r.lines())
	if len(seen) != producers*each {
		t.Errorf("%d decisions in the journal, want %d", len(seen), producers*each)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("decision %s is there %d times", id, n)
		}
	}
	if a := balanced(t, p); total(a.Pumped) != producers*each || total(a.Pending) != 0 {
		t.Errorf("account %+v", a)
	}
}

// A disk that takes nothing: the pump waits, the ring fills and refuses by class; with the disk back everything that
// was kept is journaled, without a restart.
func TestPumpSurvivesAFailingDisk(t *testing.T) {
	for name, cause := range map[string]error{"full": syscall.ENOSPC, "broken": syscall.EIO} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, ring.MinSize)
			trouble := make(chan error, 8)
			p := r.pump(func(o *emitter.PumpOptions) { o.Trouble = func(err error) { trouble <- err } })
			stop := start(p)
			rec := r.record(0)
			r.rec.Record(pdp.ClassAllow, &rec)
			harness.Eventually(t, 10*time.Second, "the first is journaled", func() bool { return p.Events() > 0 })
			r.failWith(&os.PathError{Op: "write", Path: "x", Err: cause})
			kept, n := 1, 1
			for ; n < 2000; n++ {
				rec := r.record(n)
				if r.rec.Record(pdp.ClassAllow, &rec) {
					kept++
				}
			}
			if err := <-trouble; err == nil || p.Stuck() == nil {
				t.Errorf("trouble %v, stuck %v", err, p.Stuck())
			}
			if kept == n {
				t.Fatal("the ring never filled")
			}
			if p.OldestPending(time.Now()) == 0 {
				t.Error("nothing is said to wait")
			}
			deny := r.record(n)
			if !r.rec.Record(pdp.ClassDeny, &deny) {
				t.Error("an allow was kept and a deny refused")
			}
			kept++
			r.failWith(nil)
			if err := <-trouble; err != nil || p.Stuck() != nil {
				t.Errorf("trouble %v, stuck %v", err, p.Stuck())
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if seen := evaluated(t, r.lines()); len(seen) != kept {
				t.Errorf("%d decisions in the journal, %d were kept", len(seen), kept)
			}
			if a := balanced(t, p); total(a.Shed) != uint64(n+1-kept) {
				t.Errorf("shed %d, want %d", total(a.Shed), n+1-kept)
			}
		})
	}
}

// A stop while the disk takes nothing ends, and the next start journals what waited.
func TestPumpGivesUpAtTheEndAndGoesOnAtTheStart(t *testing.T) {
	r := newRoom(t, 1<<20)
	p := r.pump(nil)
	rec := r.record(1)
	r.rec.Record(pdp.ClassAllow, &rec)
	r.failWith(syscall.EIO)
	if err := p.Drain(); err == nil {
		t.Fatal("the end of a failing disk is no error")
	}
	if n := len(r.lines()); n != 0 && evaluated(t, r.lines()) != nil {
		t.Errorf("%d lines", n)
	}
	r.failWith(nil)
	r.j.Close()
	r.openJournal()
	p = r.pump(nil)
	if err := p.Drain(); err != nil {
		t.Fatal(err)
	}
	if seen := evaluated(t, r.lines()); len(seen) != 1 {
		t.Errorf("journaled: %v", seen)
	}
	balanced(t, p)
}

func TestPumpEvents(t *testing.T) {
	r := newRoom(t, 1<<20)
	p := r.pump(nil)
	publish := func(owed uint64, id string) {
		t.Helper()
		err := r.rec.Publish(pdp.ClassThreat, &pdp.Event{Time: 1735424567890000000, Source: pdp.SourceThreat, Type: "threat.detected",
			Correlation: "c", Owed: owed, Payload: []byte("{\n \"threat_id\": \"" + id + "\" }")})
		if err != nil {
			t.Fatal(err)
		}
	}
	publish(1, "a")
	publish(2, "b")
	if err := p.Drain(); err != nil {
		t.Fatal(err)
	}
	if p.Owed() != 2 {
		t.Errorf("owed up to %d, want 2", p.Owed())
	}
	publish(1, "a") // a start that offers again what it does not know to be journaled
	publish(2, "b")
	publish(3, "c")
	publish(0, "d")
	if err := p.Drain(); err != nil {
		t.Fatal(err)
	}
	lines := r.lines()
	for i, id := range []string{"a", "b", "c", "d"} {
		want := `"type":"threat.detected","source":"threat_service","target":null,"timestamp":1735424567.890000,"payload":{"threat_id":"` + id +
			`"},"meta":{"correlation_id":"c","version":"1.0"}}`
		if len(lines) != 4 || !strings.HasSuffix(lines[i], want) || !strings.HasPrefix(lines[i], `{"id":"evt_threat_1735424567890_`) {
			t.Fatalf("lines: %s", strings.Join(lines, "\n"))
		}
	}
	if a := balanced(t, p); a.Pumped[pdp.ClassThreat] != 6 {
		t.Errorf("pumped %d records", a.Pumped[pdp.ClassThreat])
	}
}

func TestPublishRefuses(t *testing.T) {
	r := newRoom(t, 1<<20)
	for _, c := range []struct {
		name string
		e    pdp.Event
		want string
	}{
		{"no type", pdp.Event{Payload: []byte("{}")}, `event "": type of 0 bytes, 1 to 256 expected`},
		{"no JSON", pdp.Event{Type: "a", Payload: []byte("{")}, `event "a": the payload is no JSON object`},
		{"no object", pdp.Event{Type: "a", Payload: []byte("[]")}, `event "a": the payload is no JSON object`},
		{"no source", pdp.Event{Type: "a", Source: 9, Payload: []byte("{}")}, `event "a": source 9 is none`},
		{"too long", pdp.Event{Type: "a", Payload: []byte(`{"a":"` + strings.Repeat("x", 65000) + `"}`)},
			`event "a": payload of 65008 bytes, at most 64512 expected`},
	} {
		if err := r.rec.Publish(pdp.ClassAdmin, &c.e); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

type detector struct{ n int }

func (d *detector) Observe(rec *pdp.Record, emit func(*pdp.Event)) {
	if rec.Flags.Has(pdp.FlagAllowed) {
		return
	}
	d.n++
	for i := range 2 {
		emit(&pdp.Event{Time: rec.Time, Source: pdp.SourceThreat, Type: "threat.detected",
			Payload: fmt.Appendf(nil, `{"threat_id":"%d-%d","source":%q}`, d.n, i, rec.SubjectID)})
	}
}

func TestDetectorEventsFollowTheirCause(t *testing.T) {
	r := newRoom(t, 1<<20)
	p := r.pump(func(o *emitter.PumpOptions) { o.Detector = &detector{} })
	for i := range 2 {
		rec := r.record(i)
		rec.Row, rec.Effect, rec.Flags = 1, pdp.Deny, rec.Flags&^pdp.FlagAllowed
		r.rec.Record(pdp.ClassDeny, &rec)
	}
	if err := p.Drain(); err != nil {
		t.Fatal(err)
	}
	var types []string
	lines := r.lines()
	evaluated(t, lines)
	for _, l := range lines {
		var e struct{ Type string }
		json.Unmarshal([]byte(l), &e)
		types = append(types, e.Type)
	}
	one := "policy.evaluated policy.denied threat.detected threat.detected"
	if got := strings.Join(types, " "); got != one+" "+one {
		t.Errorf("order: %s", got)
	}
}

// A record that cannot be read is set aside and counted, and holds up nothing.
func TestPumpSetsTheUnreadableAside(t *testing.T) {
	r := newRoom(t, 1<<20)
	var aside []string
	p := r.pump(func(o *emitter.PumpOptions) {
		o.Unreadable = func(_ uint64, b []byte, err error) { aside = append(aside, fmt.Sprintf("%q %v", b, err)) }
	})
	rec := r.record(1)
	r.rec.Record(pdp.ClassAllow, &rec)
	for _, junk := range []string{"", "x", "\x09\x01 of another version", "\x01\x02 no event"} {
		if !r.ring.Append(pdp.ClassAdmin, []byte(junk)) {
			t.Fatal("refused")
		}
	}
	rec = r.record(2)
	r.rec.Record(pdp.ClassAllow, &rec)
	if err := p.Drain(); err != nil {
		t.Fatal(err)
	}
	if len(aside) != 4 || p.Unreadable() != 4 || len(evaluated(t, r.lines())) != 2 {
		t.Errorf("%d aside: %q", p.Unreadable(), aside)
	}
	if a := balanced(t, p); a.Pumped[pdp.ClassAdmin] != 4 {
		t.Errorf("account %+v", a)
	}
}

// Recording allocates nothing, and pumping next to nothing: what is left is a drain's own context and timer.
func TestRecordingAndPumpingDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := newRoom(t, 1<<20)
	p := r.pump(nil)
	recs := typical(r.snap)
	i := 0
	if n := testing.AllocsPerRun(1000, func() { r.rec.Record(pdp.ClassDeny, &recs[i%10]); i++ }); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
	if err := p.Drain(); err != nil {
		t.Fatal(err)
	}
	const records = 2000
	n := testing.AllocsPerRun(5, func() {
		for i := range records {
			if !r.rec.Record(pdp.ClassDeny, &recs[i%10]) {
				t.Fatal("the ring is full")
			}
		}
		if err := p.Drain(); err != nil {
			t.Fatal(err)
		}
	})
	if n > records/50 {
		t.Errorf("%v allocations for %d records", n, records)
	}
}
