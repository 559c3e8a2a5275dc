package engine

import (
	"time"

	"thymus/internal/metrics"
	"thymus/pdp"
)

// effects counts None too: documents of the OPA surface that say neither yes nor no.
const effects = int(pdp.Deny) + 1

// faults is one more than the largest FaultCode.
const faults = int(pdp.FaultInternal) + 1

// Stats counts what the engine did. Its methods may be called from many goroutines at once.
type Stats struct {
	decisions  *metrics.Counters // by surface and effect
	faults     *metrics.Counters
	evaluation *metrics.Histogram
}

func newStats() *Stats {
	return &Stats{
		decisions:  metrics.NewCounters(pdp.Surfaces * effects),
		faults:     metrics.NewCounters(faults),
		evaluation: metrics.NewHistogram(),
	}
}

func (s *Stats) count(l metrics.Lane, surface pdp.Surface, d *pdp.Decision, took time.Duration) {
	s.decisions.Add(l, int(surface)*effects+int(d.Effect), 1)
	if d.Fault != pdp.NoFault {
		s.faults.Add(l, int(d.Fault), 1)
	}
	s.evaluation.Observe(l, took)
}

// Decisions is how many decisions with this effect were made on this surface.
func (s *Stats) Decisions(surface pdp.Surface, e pdp.Effect) uint64 {
	return s.decisions.Sum(int(surface)*effects + int(e))
}

// Faults is how many evaluations failed in this way.
func (s *Stats) Faults(f pdp.FaultCode) uint64 { return s.faults.Sum(int(f)) }

// Evaluation is how long evaluations took.
func (s *Stats) Evaluation() metrics.Snapshot { return s.evaluation.Snapshot() }
