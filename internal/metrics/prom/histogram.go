package prom

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"thymus/internal/metrics"
)

// histograms is a family of histograms.
type histograms struct {
	desc    *prometheus.Desc
	bounds  []float64
	collect func(EmitHistogram)
}

// Describe is prometheus.Collector's.
func (h *histograms) Describe(ch chan<- *prometheus.Desc) { ch <- h.desc }

// Collect is prometheus.Collector's.
func (h *histograms) Collect(ch chan<- prometheus.Metric) {
	h.collect(func(s metrics.Snapshot, labels ...string) {
		ch <- &histogram{h.desc, h.bounds, s, prometheus.MakeLabelPairs(h.desc, labels)}
	})
}

// histogram is one histogram at one scrape.
type histogram struct {
	desc   *prometheus.Desc
	bounds []float64
	s      metrics.Snapshot
	labels []*dto.LabelPair
}

// Desc is prometheus.Metric's.
func (h *histogram) Desc() *prometheus.Desc { return h.desc }

// Write fills in both kinds of buckets: the text formats print the classic ones, protobuf carries both.
func (h *histogram) Write(m *dto.Metric) error {
	out := &dto.Histogram{
		SampleCount: &h.s.Count, SampleSum: &h.s.Sum,
		Schema: ptr(int32(metrics.Schema)), ZeroThreshold: ptr(zeroThreshold), ZeroCount: ptr(uint64(0)),
	}
	sum := uint64(0)
	for i, b := range h.bounds {
		sum += h.s.Counts[i]
		out.Bucket = append(out.Bucket, &dto.Bucket{UpperBound: ptr(b), CumulativeCount: ptr(sum)})
	}
	out.PositiveSpan, out.PositiveDelta = spans(h.s.Sparse)
	m.Label, m.Histogram = h.labels, out
	return nil
}

// zeroThreshold is the breadth of the zero bucket, which stays empty: it is client_golang's default, below any duration.
const zeroThreshold = 0x1p-128

// spans encodes counts by bucket index as runs of buckets and differences between them, as dto.Histogram wants it. A
// gap of one or two empty buckets is cheaper inside a run than between two. Without a count there is one empty run, by
// which a native histogram is told from a classic one.
func spans(counts map[int]uint64) ([]*dto.BucketSpan, []int64) {
	idx := make([]int, 0, len(counts))
	for i := range counts {
		idx = append(idx, i)
	}
	slices.Sort(idx)
	if len(idx) == 0 {
		return []*dto.BucketSpan{{Offset: ptr(int32(0)), Length: ptr(uint32(0))}}, nil
	}
	var out []*dto.BucketSpan
	var deltas []int64
	last, next := int64(0), 0
	add := func(n int64) {
		*out[len(out)-1].Length++
		deltas = append(deltas, n-last)
		last = n
	}
	for k, i := range idx {
		if gap := i - next; k == 0 || gap > 2 {
			out = append(out, &dto.BucketSpan{Offset: ptr(int32(gap)), Length: ptr(uint32(0))})
		} else {
			for range gap {
				add(0)
			}
		}
		add(int64(counts[i]))
		next = i + 1
	}
	return out, deltas
}

func ptr[T any](v T) *T { return &v }
