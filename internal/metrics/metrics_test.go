package metrics_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"thymus/internal/metrics"
)

func TestCountersLoseNothing(t *testing.T) {
	c := metrics.NewCounters(3)
	var d metrics.Dealer
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			l := d.Lane()
			for range 10_000 {
				c.Add(l, 0, 1)
				c.Add(l, 2, 3)
			}
		})
	}
	wg.Wait()
	if c.Sum(0) != 160_000 || c.Sum(1) != 0 || c.Sum(2) != 480_000 {
		t.Fatalf("%d %d %d", c.Sum(0), c.Sum(1), c.Sum(2))
	}
}

func TestClassicBucketsCountByTheirUpperBounds(t *testing.T) {
	for _, x := range []struct {
		d    time.Duration
		want float64
	}{
		{-time.Second, 1e-6}, {0, 1e-6}, {time.Microsecond, 1e-6}, {time.Microsecond + 1, 2e-6}, {50 * time.Millisecond, 0.05},
		{50*time.Millisecond + 1, 0.1}, {5 * time.Second, 5}, {5*time.Second + 1, math.Inf(1)}, {time.Hour, math.Inf(1)},
	} {
		h := metrics.NewHistogram()
		h.Observe(0, x.d)
		s := h.Snapshot()
		bounds := append(metrics.Bounds(), math.Inf(1))
		for i, n := range s.Counts {
			if (n == 1) != (bounds[i] == x.want) {
				t.Errorf("%s counts %d below %v, want it below %v", x.d, n, bounds[i], x.want)
			}
		}
	}
}

// A native bucket i ends at 2^(i/8) seconds and begins where the one before ends (Prometheus, native histograms).
func TestSparseBucketsHoldWhatTheirIndexSays(t *testing.T) {
	check := func(d time.Duration) {
		h := metrics.NewHistogram()
		h.Observe(0, d)
		for i := range h.Snapshot().Sparse {
			x := d.Seconds()
			lower, upper := math.Exp2(float64(i-1)/8), math.Exp2(float64(i)/8)
			if x <= lower*(1-1e-12) || x > upper*(1+1e-12) {
				t.Errorf("%s lies in bucket %d, from %v to %v", d, i, lower, upper)
			}
		}
	}
	for i := 10; i < 34; i++ { // below and above lie the lowest and the highest bucket, which end the scale
		check(time.Duration(1 << i))
		check(time.Duration(1<<i) + 1)
	}
	for range 2000 {
		check(time.Microsecond + time.Duration(rand.Int64N(int64(15*time.Second))))
	}
	for _, exact := range []time.Duration{time.Second / 2, time.Second, 2 * time.Second, time.Second / 1024} {
		check(exact)
	}
}

func TestSumAndCountAreExact(t *testing.T) {
	h := metrics.NewHistogram()
	for i := range 1000 {
		h.Observe(metrics.Lane(i), time.Duration(i)*time.Microsecond)
	}
	s := h.Snapshot()
	var sparse uint64
	for _, n := range s.Sparse {
		sparse += n
	}
	if s.Count != 1000 || sparse != 1000 || math.Abs(s.Sum-0.4995) > 1e-12 {
		t.Fatalf("%d %d %v", s.Count, sparse, s.Sum)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	h := metrics.NewHistogram()
	if n := testing.AllocsPerRun(1000, func() { h.Observe(1, 17*time.Microsecond) }); n > 0 {
		t.Fatalf("%v allocations", n)
	}
}

// go test -run - -bench Observe -count 10 ./internal/metrics | benchstat -
func BenchmarkObserve(b *testing.B) {
	h := metrics.NewHistogram()
	var d metrics.Dealer
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		l := d.Lane()
		for pb.Next() {
			h.Observe(l, 17*time.Microsecond)
		}
	})
}
