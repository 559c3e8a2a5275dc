package detect_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/detect"
)

// traffic is records of many subjects, a tenth of them denied, 50,000 a second of record time.
type traffic struct {
	recs []pdp.Record
	at   int64
	i    int
}

func newTraffic(subjects int) *traffic {
	t := &traffic{recs: make([]pdp.Record, max(subjects, 1<<16)), at: noon.UnixNano()}
	for i := range t.recs {
		n := uint32(i) * 2654435761 % uint32(subjects)
		r := &t.recs[i]
		*r = pdp.Record{
			Eval: 5000, Row: -1, Revision: "r1", Effect: pdp.Allow, Flags: pdp.FlagAllowed | pdp.FlagRole | pdp.FlagResource,
			SubjectType: "agent", SubjectID: fmt.Sprintf("team-%d/worker-%07d", n%100, n), Role: "operator",
			Action: fmt.Sprintf("orders_%d", i%7), Resource: fmt.Sprintf("tenants/%d/orders", i%50),
		}
		if i%10 == 0 {
			denied(r)
		}
	}
	return t
}

func (t *traffic) next() *pdp.Record {
	r := &t.recs[t.i]
	t.i++
	if t.i == len(t.recs) {
		t.i = 0
	}
	t.at += 20_000
	r.Time = t.at
	return r
}

func watcher(tb testing.TB, subjects int) *detect.Watcher {
	c := detect.Default()
	c.Decoys = []string{"vault/root", "backup/*"}
	if subjects > 0 {
		c.Subjects = subjects
	}
	w, err := detect.New(detect.Options{Config: c})
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// What a record costs, all detectors on, a tenth denied. Compare with
//
//	go test -run '^$' -bench Observe -count 10 ./pdp/detect | benchstat -
func BenchmarkObserve(b *testing.B) {
	for _, subjects := range []int{100, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("subjects=%d", subjects), func(b *testing.B) {
			w, t := watcher(b, 0), newTraffic(subjects)
			found := 0
			emit := func(*detect.Finding) { found++ }
			for range subjects {
				w.Observe(t.next(), emit)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				w.Observe(t.next(), emit)
			}
			b.ReportMetric(float64(found), "findings")
		})
	}
}

// How long windows take that are kept once a second, where masks blind the journal: records wait meanwhile.
//
//	go test -run '^$' -bench AppendWindows -count 6 ./pdp/detect | benchstat -
func BenchmarkAppendWindows(b *testing.B) {
	for _, subjects := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("subjects=%d", subjects), func(b *testing.B) {
			w, t := watcher(b, 0), newTraffic(subjects)
			for range max(2*subjects, 20_000) {
				w.Observe(t.next(), nil)
			}
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = w.AppendWindows(dst[:0])
			}
			b.ReportMetric(float64(len(dst)), "bytes")
		})
	}
}

// What a record of each kind costs, 1,000 subjects.
func BenchmarkKinds(b *testing.B) {
	for _, k := range []struct {
		name   string
		change change
	}{
		{"permitted", func(*pdp.Record) {}},
		{"denied", denied},
		{"quarantined", func(r *pdp.Record) { denied(r); r.Flags |= pdp.FlagQuarantined }},
		{"failed", failed(pdp.FaultBuiltin)},
		{"differing path", flagged(pdp.FlagPathDiffers)},
	} {
		b.Run(k.name, func(b *testing.B) {
			w, t := watcher(b, 0), newTraffic(1000)
			for i := range t.recs {
				t.recs[i].Effect, t.recs[i].Flags = pdp.Allow, pdp.FlagAllowed|pdp.FlagRole|pdp.FlagResource
				k.change(&t.recs[i])
			}
			emit := func(*detect.Finding) {}
			for range t.recs {
				w.Observe(t.next(), emit)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				w.Observe(t.next(), emit)
			}
		})
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	w, tr := watcher(t, 0), newTraffic(1000)
	emit := func(*detect.Finding) {}
	for range 200_000 {
		w.Observe(tr.next(), emit)
	}
	if n := testing.AllocsPerRun(100_000, func() { w.Observe(tr.next(), emit) }); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

func heap() uint64 {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemoryIsBoundedWhateverTheSubjects: a million distinct subjects within a minute, a tenth of them denied, then
// another million, cost no byte more than the first hundred did.
func TestMemoryIsBoundedWhateverTheSubjects(t *testing.T) {
	before := heap()
	w := watcher(t, 0)
	made := heap() - before
	if most := uint64(40 << 20); made > most {
		t.Errorf("a Watcher takes %d bytes, want at most %d", made, most)
	}
	r := pdp.Record{Effect: pdp.Allow, Flags: pdp.FlagAllowed, Revision: "r1", SubjectType: "agent", Action: "read"}
	id := make([]byte, 0, 32)
	at := noon.UnixNano()
	for i := range 2_000_000 {
		at += int64(time.Minute) / 1_000_000
		id = fmt.Appendf(id[:0], "forged-%d", i)
		r.Time, r.SubjectID, r.Effect = at, string(id), pdp.Allow
		if i%10 == 0 {
			r.Effect = pdp.Deny
		}
		w.Observe(&r, nil)
	}
	after := heap()
	if grown := int64(after) - int64(before+made); grown > 1<<20 {
		t.Errorf("two million subjects added %d bytes", grown)
	}
	t.Logf("%.1f MiB made, %d active subjects remembered, %d records untracked", float64(made)/(1<<20), w.Active(), w.Stats().Untracked)
	runtime.KeepAlive(w)
}

// TestAFloodOfNamesHidesNobody: who forges a million names does not make the Watcher forget who is at work.
func TestAFloodOfNamesHidesNobody(t *testing.T) {
	b := newBox(t, func(c *detect.Config) { c.Rate.Enabled, c.Subjects = false, detect.Default().Subjects })
	for range 9 {
		b.call("prober", denied)
	}
	for i := range 1_000_000 {
		b.at = b.at.Add(50 * time.Microsecond)
		b.call(fmt.Sprint("forged-", i), denied)
	}
	for _, f := range b.found {
		t.Errorf("%s: %s %s", f.SubjectID, f.Detector, f.Change)
	}
	b.found = nil
	b.call("prober", denied)
	b.want("repeated_denials:opened:MEDIUM:10!")
}

// What each detector costs by itself: "none" is the subject's slot and the clock, which all share.
func BenchmarkDetectors(b *testing.B) {
	for det := range detect.Detector(detect.Detectors + 1) {
		if det == detect.RingPressure || det == detect.DiskPressure {
			continue // no record passes by them
		}
		name := det.String()
		if det == detect.Detectors {
			name = "none"
		}
		b.Run(name, func(b *testing.B) {
			c := detect.Default()
			only(det)(&c)
			if det == detect.Decoy {
				c.Decoys = []string{"vault/root", "backup/*"}
			}
			w, err := detect.New(detect.Options{Config: c})
			if err != nil {
				b.Fatal(err)
			}
			t := newTraffic(1000)
			for i := range t.recs {
				if det == detect.PathConfusion && i%10 == 0 {
					t.recs[i].Flags |= pdp.FlagPathDiffers
				}
				if det == detect.ErrorSpike && i%10 == 0 {
					failed(pdp.FaultBuiltin)(&t.recs[i])
				}
			}
			emit := func(*detect.Finding) {}
			for range t.recs {
				w.Observe(t.next(), emit)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				w.Observe(t.next(), emit)
			}
		})
	}
}

// TestWhoIsLongGoneMakesRoom: a table full of subjects that were at work takes newcomers once those have been gone for
// an hour, and not before.
func TestWhoIsLongGoneMakesRoom(t *testing.T) {
	b := newBox(t, func(c *detect.Config) { c.Subjects = 1024 })
	work := func(name string, n int) {
		for i := range n {
			for range 10 {
				b.call(fmt.Sprint(name, i))
			}
		}
	}
	work("old", 4000)
	full := b.w.Stats().Untracked
	if full == 0 {
		t.Fatal("four thousand subjects found room among a thousand")
	}
	b.wait(59 * time.Minute)
	work("early", 10)
	if b.w.Stats().Untracked == full {
		t.Error("subjects at work an hour ago were pushed out")
	}
	full = b.w.Stats().Untracked
	b.wait(2 * time.Minute)
	work("new", 500)
	if n := b.w.Stats().Untracked - full; n != 0 {
		t.Errorf("%d records of newcomers found no room", n)
	}
}
