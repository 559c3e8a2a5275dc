package main

import (
	"cmp"
	"slices"

	"thymus/bench/load"
)

// results are all that a report is written from; --save keeps them.
type results struct {
	Began    string      `json:"began"`
	Seconds  float64     `json:"seconds"`
	Machine  [][2]string `json:"machine"`
	Again    string      `json:"again"`
	Rounds   int         `json:"rounds"`
	Duration float64     `json:"duration_s"`
	Warmup   float64     `json:"warmup_s"`
	Clients  int         `json:"connections"`
	Others   float64     `json:"others"` // share of the processors' time that neither we nor the servers used
	Cases    []*outcome  `json:"cases"`
	Stall    []stall     `json:"stall,omitempty"`
	Idle     []idle      `json:"idle,omitempty"`
	Disk     []disk      `json:"disk,omitempty"`
	NotDone  []string    `json:"not_done,omitempty"`
}

// outcome is a case with what came of it.
type outcome struct {
	Workload  string    `json:"workload"`
	Size      int       `json:"size"`
	Scene     string    `json:"scene,omitempty"`
	Allowed   float64   `json:"allowed"`
	Entries   []*entry  `json:"entries"`
	Libraries []library `json:"libraries,omitempty"`
}

// entry is what is known of a contender in a case.
type entry struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`
	GRPC    bool     `json:"grpc,omitempty"`
	Judged  bool     `json:"judged"`        // it decides; who does not is a floor
	Why     string   `json:"why,omitempty"` // it did not take part, or not to the end
	Startup float64  `json:"startup_ms"`
	Samples []sample `json:"samples,omitempty"`
}

// sample is one measurement of one contender: as fast as it goes, then at half of that.
type sample struct {
	Rate   float64      `json:"rate"`            // decisions a second, closed loop
	CPU    float64      `json:"cpu"`             // seconds of the server's processor time for a million decisions, closed loop
	RSS    float64      `json:"rss"`             // MiB afterwards
	Allocs float64      `json:"allocs"`          // of the server's Go heap, a decision; below 0: it does not tell
	Full   *load.Result `json:"full"`            // closed loop
	Half   *load.Result `json:"half"`            // open loop
	Alike  *load.Result `json:"alike,omitempty"` // open loop, all at half of the slowest one's throughput
	Wrk    *wrkFigures  `json:"wrk,omitempty"`
}

// spread is a median with the least and the most.
type spread struct{ mid, low, high float64 }

// median of what f knows; below 0 where it knows nothing.
func (e *entry) median(f func(*sample) float64) (s spread) {
	var vs []float64
	for i := range e.Samples {
		if v := f(&e.Samples[i]); v >= 0 {
			vs = append(vs, v)
		}
	}
	if len(vs) == 0 {
		return spread{-1, -1, -1}
	}
	return medianOf(vs)
}

func medianOf(vs []float64) (s spread) {
	if len(vs) == 0 {
		return s
	}
	slices.Sort(vs)
	s.mid = vs[len(vs)/2]
	if len(vs)%2 == 0 {
		s.mid = (vs[len(vs)/2-1] + vs[len(vs)/2]) / 2
	}
	s.low, s.high = vs[0], vs[len(vs)-1]
	return s
}

func rate(m *sample) float64   { return m.Rate }
func cpu(m *sample) float64    { return m.CPU }
func rss(m *sample) float64    { return m.RSS }
func allocs(m *sample) float64 { return m.Allocs }

// at is a percentile at half of the throughput.
func at(f func(load.Latency) float64) func(*sample) float64 {
	return func(m *sample) float64 { return f(m.Half.Latency) }
}

// alike is a percentile at the rate that all were asked at; below 0 where they were not.
func alike(f func(load.Latency) float64) func(*sample) float64 {
	return func(m *sample) float64 {
		if m.Alike == nil {
			return -1
		}
		return f(m.Alike.Latency)
	}
}

func p50(l load.Latency) float64   { return l.P50 }
func p99(l load.Latency) float64   { return l.P99 }
func p999(l load.Latency) float64  { return l.P999 }
func p9999(l load.Latency) float64 { return l.P9999 }

// typical is the sample whose p99 at half is the middle one.
func (e *entry) typical() *load.Result {
	ss := slices.Clone(e.Samples)
	slices.SortFunc(ss, func(a, b sample) int { return cmp.Compare(a.Half.Latency.P99, b.Half.Latency.P99) })
	return ss[len(ss)/2].Half
}

// runs are all loads of all samples.
func (e *entry) runs() (rs []*load.Result) {
	for i := range e.Samples {
		m := &e.Samples[i]
		if rs = append(rs, m.Full, m.Half); m.Alike != nil {
			rs = append(rs, m.Alike)
		}
	}
	return rs
}

// amiss are the wrong decisions and the errors of all runs, and what kinds of errors.
func (e *entry) amiss() (wrong, errors uint64, kinds map[string]uint64) {
	kinds = map[string]uint64{}
	for _, r := range e.runs() {
		wrong += r.Wrong
		errors += r.Errors
		for k, n := range r.Faults {
			kinds[k] += n
		}
	}
	return wrong, errors, kinds
}

// floor is the echo that an entry is held against; nil where none was measured.
func (o *outcome) floor(e *entry) *entry {
	for _, f := range o.Entries {
		if !f.Judged && f.GRPC == e.GRPC && len(f.Samples) > 0 {
			return f
		}
	}
	return nil
}

// named is an entry that was measured.
func (o *outcome) named(name string) *entry {
	for _, e := range o.Entries {
		if e.Name == name && len(e.Samples) > 0 {
			return e
		}
	}
	return nil
}

// find is a case.
func (r *results) find(workload string, size int, scene string) *outcome {
	for _, o := range r.Cases {
		if o.Workload == workload && o.Size == size && o.Scene == scene {
			return o
		}
	}
	return nil
}
