package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a run found. Its JSON is what thymus bench prints.
type Result struct {
	Asked  uint64  `json:"asked"`  // calls that should have begun while it was counted; in a closed loop those that did
	Sent   uint64  `json:"sent"`   // of them those that did begin
	OK     uint64  `json:"ok"`     // answered, with the expected decision
	Errors uint64  `json:"errors"` // not answered, or not with a decision
	Wrong  uint64  `json:"wrong"`  // answered with another decision
	Rate   float64 `json:"rate"`   // ok a second

	// Latency is from the moment at which a call should have begun to its whole answer; in a closed loop from its begin.
	// What was not answered in time, or never sent, counts with the time that it had waited by then.
	Latency Latency `json:"latency_ms"`
	// Lateness is the generator's own: how long after the moment at which a call should have begun it did, where a
	// connection was free for it; 99 % were no later.
	Lateness float64 `json:"lateness_ms"`

	Unsent          uint64            `json:"unsent"` // asked and never sent: no connection was free until the end
	Faults          map[string]uint64 `json:"error_kinds,omitempty"`
	ConnectFailures uint64            `json:"connect_failures,omitempty"`
	Reconnects      uint64            `json:"reconnects,omitempty"`
	Service         Latency           `json:"service_ms"`    // from the write to the answer: what a closed loop would call latency
	Late            Latency           `json:"lateness"`      // all of Lateness, in milliseconds
	Turn            Latency           `json:"turn_ms"`       // turns of the generator's loop: how long an answer may have lain unread
	CPU             float64           `json:"generator_cpu"` // cores that this process used, all of it
	Seconds         float64           `json:"seconds"`       // that were counted
	Asking          Asking            `json:"settings"`      // what was asked of it
	Spectrum        [][2]float64      `json:"spectrum"`      // percentile, milliseconds
	Timeline        []Point           `json:"timeline"`
}

// Asking is how a run was set.
type Asking struct {
	Endpoint    string  `json:"endpoint"`
	Target      string  `json:"target"`
	Loop        string  `json:"loop"` // open or closed
	Rate        float64 `json:"rate,omitempty"`
	Arrivals    string  `json:"arrivals,omitempty"`
	Connections int     `json:"connections"`
	Workers     int     `json:"workers"`
	Warmup      float64 `json:"warmup_s"`
	Duration    float64 `json:"duration_s"`
	Calls       int     `json:"distinct_calls"`
}

// Latency are percentiles in milliseconds.
type Latency struct {
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99.9"`
	P9999 float64 `json:"p99.99"`
	Max   float64 `json:"max"`
	Mean  float64 `json:"mean"`
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

func latency(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	at := func(q float64) float64 { return ms(min(h.ValueAtQuantile(q), h.Max())) }
	return Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), P9999: at(99.99), Max: ms(h.Max()), Mean: h.Mean() / 1e6}
}

// Settled says whether the equations of the package hold.
func (r *Result) Settled() bool {
	return r.Asked == r.Sent+r.Unsent && r.Sent == r.OK+r.Wrong+r.Errors
}

func newResult(o *Options, t *tally, took, wall, spent time.Duration, line []Point) *Result {
	r := &Result{
		Asked: t.asked, Sent: t.sent, OK: t.ok, Errors: t.errors(), Wrong: t.wrong, Unsent: t.unsent,
		ConnectFailures: t.connectFailures, Reconnects: t.reconnects,
		Latency: latency(t.latency), Service: latency(t.service), Late: latency(t.late), Turn: latency(t.turn),
		Seconds: took.Seconds(), Timeline: line,
		Asking: Asking{Endpoint: o.Endpoint.String(), Target: o.Target.String(), Loop: "closed", Connections: o.Connections,
			Workers: o.Workers, Warmup: o.Warmup.Seconds(), Duration: o.Duration.Seconds(), Calls: len(o.Calls)},
	}
	if r.Lateness = r.Late.P99; took > 0 {
		r.Rate = float64(t.ok) / took.Seconds()
	}
	if wall > 0 {
		r.CPU = spent.Seconds() / wall.Seconds()
	}
	if o.Rate > 0 {
		r.Asking.Loop, r.Asking.Rate, r.Asking.Arrivals = "open", o.Rate, o.Arrivals.String()
	}
	for f := faultTransport; f < faults; f++ {
		if t.faults[f] > 0 {
			if r.Faults == nil {
				r.Faults = map[string]uint64{}
			}
			r.Faults[faultNames[f]] = t.faults[f]
		}
	}
	r.Spectrum = spectrum(t.latency)
	return r
}

// spectrum is the histogram for a plot: five points for each halving of what is above.
func spectrum(h *hdrhistogram.Histogram) [][2]float64 {
	var out [][2]float64
	if h.TotalCount() == 0 {
		return out
	}
	for _, b := range h.CumulativeDistributionWithTicks(5) {
		out = append(out, [2]float64{b.Quantile, ms(min(b.ValueAt, h.Max()))})
	}
	return out
}
