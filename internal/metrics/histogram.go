package metrics

import (
	"math"
	"time"
)

// Bounds are the upper bounds of a histogram's classic buckets, in seconds: 1, 2, 5 a decade from 1 µs to 5 s.
func Bounds() []float64 {
	var b []float64
	for _, ns := range classic {
		b = append(b, float64(ns)/1e9)
	}
	return b
}

var classic = [...]int64{
	1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8, 2e8, 5e8, 1e9, 2e9, 5e9,
}

// Sparse buckets are those of Prometheus' native histograms at Schema 3: a bucket ends at 2^(i/8) seconds, so that a
// quantile is right within 4.4 %. What is below 2^-20 s (0.95 µs) lies in the lowest, what is above 16 s in the
// highest.
const (
	Schema      = 3
	perOctave   = 1 << Schema
	lowest      = -20 * perOctave
	highest     = 4 * perOctave
	sparseCount = highest - lowest + 1
)

// Histogram counts durations, in classic and in sparse buckets. All methods may be called from many goroutines at once.
type Histogram struct {
	cells  *Counters // classic, +Inf, sparse, sum in nanoseconds
	bounds [perOctave]float64
}

// NewHistogram makes an empty one.
func NewHistogram() *Histogram {
	h := &Histogram{cells: NewCounters(len(classic) + 1 + sparseCount + 1)}
	for i := range h.bounds {
		h.bounds[i] = math.Exp2(float64(i+1)/perOctave) / 2 // fractions of math.Frexp lie in [0.5, 1)
	}
	return h
}

const (
	atInf    = len(classic)
	atSparse = atInf + 1
	atSum    = atSparse + sparseCount
)

// Observe counts one duration; a negative one counts as 0.
func (h *Histogram) Observe(l Lane, d time.Duration) {
	ns := max(int64(d), 0)
	i := 0
	for i < len(classic) && ns > classic[i] {
		i++
	}
	h.cells.Add(l, i, 1)
	h.cells.Add(l, atSparse+h.sparse(ns), 1)
	h.cells.Add(l, atSum, uint64(ns))
}

// sparse is the place of a duration among the sparse buckets.
func (h *Histogram) sparse(ns int64) int {
	if ns == 0 {
		return 0
	}
	frac, exp := math.Frexp(float64(ns) / 1e9)
	k := 0
	for k < perOctave-1 && frac > h.bounds[k] {
		k++
	}
	// 2^(exp-1) * [1, 2): bucket index of the end of the k-th eighth; an exact power of two ends the octave before.
	idx := (exp-1)*perOctave + k + 1
	if frac == 0.5 {
		idx = (exp - 1) * perOctave
	}
	return min(max(idx, lowest), highest) - lowest
}

// Snapshot is what a histogram holds.
type Snapshot struct {
	Count  uint64
	Sum    float64        // seconds
	Counts []uint64       // of the classic buckets, not cumulative; the last is +Inf
	Sparse map[int]uint64 // by native bucket index at Schema
}

// Snapshot sums up. Buckets are read one after another, so that a count made meanwhile may be missing in some.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Counts: make([]uint64, len(classic)+1), Sparse: map[int]uint64{}}
	for i := range s.Counts {
		s.Counts[i] = h.cells.Sum(i)
		s.Count += s.Counts[i]
	}
	for i := range sparseCount {
		if n := h.cells.Sum(atSparse + i); n > 0 {
			s.Sparse[i+lowest] = n
		}
	}
	s.Sum = float64(h.cells.Sum(atSum)) / 1e9
	return s
}
