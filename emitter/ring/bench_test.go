package ring_test

import (
	"math/bits"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thymus/emitter/ring"
	"thymus/pdp"
)

// Run with
//
//	go test -run '^$' -bench Paced -benchtime 400000x -count 6 ./emitter/ring
//	go test -run '^$' -bench Saturated -benchtime 2s -count 6 ./emitter/ring | tee new && benchstat old new
//
// A paced benchmark's time an operation is the pace; its metrics are what one call costs the producer, the two readings
// of the clock around it included, which clock-ns alone is.

const recordSize = 192

// sink is what producers fill.
type sink interface {
	put(p []byte) bool
	end()
}

type ringSink struct {
	*ring.Ring
	stop chan struct{}
	done sync.WaitGroup
}

func (s *ringSink) put(p []byte) bool { return s.Append(pdp.ClassThreat, p) }

func (s *ringSink) end() {
	close(s.stop)
	s.done.Wait()
}

// newRingSink is a ring of 32 MiB, on tmpfs or the heap, with a consumer that copies the records out as a pump does: it
// looks once a millisecond, and at once again while there is work.
func newRingSink(b *testing.B, onHeap bool) *ringSink {
	o := ring.Options{Size: 32 << 20}
	if !onHeap {
		path, tmpfs := ring.DefaultPath(b.TempDir())
		if !tmpfs {
			b.Skip("there is no tmpfs here")
		}
		dir, err := os.MkdirTemp(path, "thymus-bench-")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { os.RemoveAll(dir) })
		o.Path, o.Name = dir, "ring"
	}
	r, _, err := ring.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	s := &ringSink{Ring: r, stop: make(chan struct{})}
	out := make([]byte, 1<<20)
	s.done.Go(func() {
		defer r.Close()
		at := 0
		fn := func(_ uint64, _ pdp.Class, p []byte) {
			if at+len(p) > len(out) {
				at = 0
			}
			at += copy(out[at:], p)
		}
		for {
			n, next := r.Poll(256, fn)
			r.Advance(next)
			if n == 0 {
				select {
				case <-s.stop:
					return
				default:
					time.Sleep(time.Millisecond) // as the pump rests when it found nothing
				}
			}
		}
	})
	return s
}

type channelSink struct {
	c    chan []byte
	done sync.WaitGroup
}

func (s *channelSink) put(p []byte) bool {
	select {
	case s.c <- append([]byte(nil), p...):
		return true
	default:
		return false
	}
}

func (s *channelSink) end() {
	close(s.c)
	s.done.Wait()
}

// newChannelSink is a channel that holds as many records as the ring.
func newChannelSink(*testing.B) *channelSink {
	s := &channelSink{c: make(chan []byte, 32<<20/256)}
	out := make([]byte, 1<<20)
	s.done.Go(func() {
		at := 0
		for p := range s.c {
			if at+len(p) > len(out) {
				at = 0
			}
			at += copy(out[at:], p)
		}
	})
	return s
}

func sinks(b *testing.B, fn func(b *testing.B, s sink)) {
	b.Run("ring=tmpfs", func(b *testing.B) { fn(b, newRingSink(b, false)) })
	b.Run("ring=heap", func(b *testing.B) { fn(b, newRingSink(b, true)) })
	b.Run("channel", func(b *testing.B) { fn(b, newChannelSink(b)) })
}

// BenchmarkPaced offers 100,000 records a second.
func BenchmarkPaced(b *testing.B) {
	for _, producers := range []int{1, 4} {
		b.Run("producers="+strconv.Itoa(producers), func(b *testing.B) {
			sinks(b, func(b *testing.B, s sink) { paced(b, s, producers, 100_000) })
		})
	}
}

func paced(b *testing.B, s sink, producers int, rate float64) {
	var wg sync.WaitGroup
	var all histogram
	var mu sync.Mutex
	var refused atomic.Int64
	base := time.Now()
	each := b.N / producers
	b.ResetTimer()
	for range producers {
		wg.Go(func() {
			h, p := new(histogram), make([]byte, recordSize)
			for i := 0; i < each; {
				due := int(time.Since(base).Seconds() * rate / float64(producers))
				for ; i < min(due, each); i++ {
					t0 := time.Since(base)
					ok := s.put(p)
					t1 := time.Since(base)
					if h.add(t1 - t0); !ok {
						refused.Add(1)
					}
				}
				time.Sleep(500 * time.Microsecond) // paces the load: a burst each half millisecond
			}
			mu.Lock()
			all.merge(h)
			mu.Unlock()
		})
	}
	wg.Wait()
	b.StopTimer()
	s.end()
	clock := new(histogram)
	for range 100_000 {
		t0 := time.Since(base)
		clock.add(time.Since(base) - t0)
	}
	for _, q := range []struct {
		unit string
		q    float64
	}{{"p50-ns", 0.5}, {"p99-ns", 0.99}, {"p99.9-ns", 0.999}, {"p99.99-ns", 0.9999}} {
		b.ReportMetric(float64(all.quantile(q.q)), q.unit)
	}
	b.ReportMetric(float64(clock.quantile(0.5)), "clock-ns")
	b.ReportMetric(float64(refused.Load()), "refused")
}

// BenchmarkSaturated offers records as fast as they are taken; refusals are offered again and do not count.
func BenchmarkSaturated(b *testing.B) {
	for _, producers := range []int{1, 4} {
		b.Run("producers="+strconv.Itoa(producers), func(b *testing.B) {
			sinks(b, func(b *testing.B, s sink) {
				var wg sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for range producers {
					wg.Go(func() {
						p := make([]byte, recordSize)
						for range b.N / producers {
							for !s.put(p) {
								runtime.Gosched()
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrec/s")
				b.StopTimer()
				s.end()
			})
		})
	}
}

// BenchmarkAppend is one producer alone; what it takes to empty the ring in between, a few nanoseconds a record, is in it.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{64, 192, 512} {
		b.Run("bytes="+strconv.Itoa(n), func(b *testing.B) {
			r := heap(b, ring.Options{Size: 1 << 20})
			p := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if !r.Append(pdp.ClassAllow, p) {
					drain(r, func(uint64, pdp.Class, []byte) {})
					r.Append(pdp.ClassAllow, p)
				}
			}
		})
	}
}

// BenchmarkRefused is what a full ring costs.
func BenchmarkRefused(b *testing.B) {
	r := heap(b, ring.Options{Size: 1 << 20})
	p := make([]byte, recordSize)
	for r.Append(pdp.ClassAllow, p) {
	}
	for b.Loop() {
		r.Append(pdp.ClassAllow, p)
	}
}

// BenchmarkPending counts a full ring of 32 MiB.
func BenchmarkPending(b *testing.B) {
	r := heap(b, ring.Options{Size: 32 << 20})
	p := make([]byte, recordSize)
	n := 0
	for r.Append(pdp.ClassAdmin, p) {
		n++
	}
	for b.Loop() {
		if r.Pending()[pdp.ClassAdmin] != uint64(n) {
			b.Fatal(r.Pending())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
}

// histogram of durations, with 32 steps an octave.
type histogram struct {
	n      uint64
	counts [64 * 32]uint64
}

func (h *histogram) add(d time.Duration) {
	v := uint64(max(d, 0))
	h.n++
	if v < 64 {
		h.counts[v]++
		return
	}
	e := bits.Len64(v) - 6
	h.counts[e*32+int(v>>e)]++
}

func (h *histogram) merge(o *histogram) {
	h.n += o.n
	for i, n := range o.counts {
		h.counts[i] += n
	}
}

func (h *histogram) quantile(q float64) uint64 {
	rest := uint64(float64(h.n) * q)
	for i, n := range h.counts {
		if rest < n {
			if i < 64 {
				return uint64(i)
			}
			e := (i - 32) / 32
			return uint64(i-e*32) << e
		}
		rest -= n
	}
	return 0
}
