package emitter_test

import (
	"math"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/emitter/ring"
	"thymus/pdp"
)

// go test -run '^$' -bench . -benchmem -count 10 ./emitter | tee new.txt; benchstat old.txt new.txt

// typical are records as they are with one denial in ten.
func typical(s *pdp.Snapshot) (out [10]pdp.Record) {
	for i := range out {
		out[i] = base(s)
	}
	r := &out[9]
	r.Row, r.Effect, r.Flags = 1, pdp.Deny, r.Flags&^pdp.FlagAllowed
	return out
}

func BenchmarkEncode(b *testing.B) {
	s, revs := persisted(b)
	hash, err := emitter.NewMask([]string{"agent_id=hash"}, make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	drop, err := emitter.NewMask([]string{"agent_id", "resource"}, make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		mask *emitter.Mask
	}{{"plain", nil}, {"mask=drop", drop}, {"mask=hash", hash}} {
		b.Run(c.name, func(b *testing.B) {
			e, recs := emitter.NewEncoder(revs.RowsForTest, c.mask), typical(s)
			o := emitter.NewOrigin("host", 1)
			var buf []byte
			events, bytes, i := 0, 0, 0
			b.ReportAllocs()
			for b.Loop() {
				var n int
				buf, n = e.Decision(buf[:0], &recs[i%10], o, uint64(i)*64)
				events += n
				bytes += len(buf)
				i++
			}
			b.ReportMetric(float64(bytes)/float64(events), "bytes/event")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
		})
	}
}

// BenchmarkRecord is what recording adds to a decision: encoding the record and appending it to the ring.
func BenchmarkRecord(b *testing.B) {
	s, _ := persisted(b)
	r, _, err := ring.Open(ring.Options{Size: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	rec, recs := emitter.NewRecorder(r), typical(s)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if !rec.Record(pdp.ClassAllow, &recs[0]) {
			b.StopTimer()
			_, next := r.Poll(1<<30, func(uint64, pdp.Class, []byte) {})
			r.Advance(next)
			b.StartTimer()
		}
	}
}

// BenchmarkPump moves records from a ring on tmpfs to a journal on disk: the whole of what the pump does, on one core.
// cpu-ns/event is processor time, which other work on the machine hardly touches; least-cpu-ns/event that of the best of
// its rounds.
func BenchmarkPump(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir := b.TempDir()
	s, revs := persisted(b)
	folder, _ := ring.DefaultPath(dir)
	r, _, err := ring.Open(ring.Options{Path: folder, Name: filepath.Base(dir) + "-bench", Size: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close(); removeForTest(b, filepath.Join(folder, filepath.Base(dir)+"-bench")) })
	j, _, err := journal.Open(journal.Options{Dir: filepath.Join(dir, "j"), RetainSize: 512 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	if _, err := emitter.Recover(r, j); err != nil {
		b.Fatal(err)
	}
	p := emitter.NewPump(emitter.PumpOptions{Ring: r, Journal: j, Instance: "h", Rows: revs})
	rec, recs := emitter.NewRecorder(r), typical(s)
	const each = 50000
	fill := func() {
		for i := range each {
			if !rec.Record(pdp.ClassDeny, &recs[i%10]) {
				b.Fatal("the ring is full")
			}
		}
	}
	fill()
	if err := p.Drain(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := p.Events()
	cpu, least := time.Duration(0), math.Inf(1)
	for b.Loop() {
		b.StopTimer()
		fill()
		begun, from := threadTime(), p.Events()
		b.StartTimer()
		if err := p.Drain(); err != nil {
			b.Fatal(err)
		}
		took := threadTime() - begun
		cpu, least = cpu+took, min(least, float64(took)/float64(p.Events()-from))
	}
	events := float64(p.Events() - before)
	b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(b.Elapsed().Seconds()*1e9/events, "ns/event")
	b.ReportMetric(float64(cpu)/events, "cpu-ns/event")
	b.ReportMetric(least, "least-cpu-ns/event")
}

func BenchmarkParseHead(b *testing.B) {
	s, revs := persisted(b)
	e, recs := emitter.NewEncoder(revs.RowsForTest, nil), typical(s)
	line, _ := e.Decision(nil, &recs[0], emitter.NewOrigin("h", 1), 64)
	var h emitter.Head
	b.ReportAllocs()
	for b.Loop() {
		if !emitter.ParseHead(line, &h) {
			b.Fatal("no line")
		}
	}
}
