package journal_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"thymus/emitter/journal"
)

// wide is a batch of n events of 600 bytes, the size of a policy.evaluated.
func wide(n int) *journal.Batch {
	b := batch(1, n)
	pad := strings.Repeat("x", 600-len(line(1))-len(`,"pad":""`)-1)
	var out bytes.Buffer
	for i := range n {
		l := line(uint64(i%9 + 1))
		fmt.Fprintf(&out, "%s,\"pad\":%q}\n", l[:len(l)-1], pad)
	}
	b.Lines = out.Bytes()
	return b
}

// go test -run '^$' -bench Append -benchmem -count 10 ./emitter/journal | tee new.txt; benchstat -col /digest new.txt
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		for _, digest := range []string{"sha256", "none"} {
			b.Run(fmt.Sprintf("events=%d/digest=%s", n, digest), func(b *testing.B) {
				o := journal.Options{Dir: b.TempDir(), Fsync: journal.FsyncNever, RetainSize: 1 << 30}
				if digest == "none" {
					o = journal.WithoutDigest(o)
				}
				j, _ := open(b, o)
				batch := wide(n)
				b.SetBytes(int64(len(batch.Lines)))
				b.ReportAllocs()
				for b.Loop() {
					if err := j.Append(batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
		}
	}
}

// go test -run '^$' -bench Read -benchmem -count 10 ./emitter/journal
func BenchmarkRead(b *testing.B) {
	j, _ := open(b, journal.Options{Dir: b.TempDir(), RetainSize: 1 << 30})
	batch := wide(100)
	for range 2000 {
		if err := j.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	r := j.Reader(1)
	defer func() { r.Close() }()
	b.SetBytes(int64(len(batch.Lines)))
	b.ReportAllocs()
	var c journal.Chunk
	events := 0
	for b.Loop() {
		ok, err := r.Next(&c)
		if err != nil {
			b.Fatal(err)
		}
		if !ok {
			r.Close()
			r = j.Reader(1)
		}
		events += c.Events
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}

// go test -run '^$' -bench Find -count 10 ./emitter/journal
func BenchmarkFind(b *testing.B) {
	j, _ := open(b, journal.Options{Dir: b.TempDir(), RetainSize: 1 << 30, SegmentSize: 8 << 20})
	batch := wide(1)
	for range 200_000 {
		if err := j.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	var c journal.Chunk
	n := uint64(0)
	for b.Loop() {
		n = n*6364136223846793005 + 1442695040888963407
		r := j.Reader(n>>33%200_000 + 1)
		if ok, err := r.Next(&c); !ok || err != nil {
			b.Fatal(ok, err)
		}
		r.Close()
	}
	b.ReportMetric(float64(j.Stats().Segments), "segments")
}

// go test -run '^$' -bench Sink -benchmem -count 10 ./emitter/journal
func BenchmarkSink(b *testing.B) {
	j, _ := open(b, journal.Options{Dir: b.TempDir()})
	s, err := j.Sink("kafka")
	if err != nil {
		b.Fatal(err)
	}
	s.Resume(8)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		s.Take(int32(n%8), n)
		if n%100 == 0 {
			for p := range int32(8) {
				_ = s.Ack(p, n+1, 12, 0)
			}
		}
	}
}

// go test -run '^$' -bench Verify -count 10 ./emitter/journal
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	j, _ := open(b, journal.Options{Dir: dir, RetainSize: 1 << 30})
	batch := wide(100)
	for range 2000 {
		if err := j.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(j.Stats().Bytes)
	for b.Loop() {
		if rep, err := journal.Verify(dir, nil, nil); err != nil || !rep.OK() {
			b.Fatal(rep, err)
		}
	}
}

// go test -run '^$' -bench Open -count 10 ./emitter/journal
func BenchmarkOpen(b *testing.B) {
	o := journal.Options{Dir: b.TempDir(), RetainSize: 1 << 40, SegmentSize: 1 << 20}
	j, _ := open(b, o)
	batch := wide(100)
	for range 4000 {
		if err := j.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	segments := j.Stats().Segments
	j.Close()
	for b.Loop() {
		j, _, err := journal.Open(o)
		if err != nil {
			b.Fatal(err)
		}
		j.Close()
	}
	b.ReportMetric(float64(segments), "segments")
}
