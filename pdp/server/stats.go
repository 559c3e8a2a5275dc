package server

import (
	"sync/atomic"
	"time"

	"thymus/internal/metrics"
	"thymus/pdp"
)

// stats is what the server counts.
type stats struct {
	lanes       metrics.Dealer
	requests    [pdp.Surfaces]*metrics.Histogram // nil for surfaces that are not ours
	connections atomic.Uint64
	refused     atomic.Uint64 // connections beyond the limit
	strangers   atomic.Uint64 // connections of a uid that may not
	panics      atomic.Uint64
}

func newStats() *stats {
	s := &stats{}
	for _, f := range [...]pdp.Surface{pdp.SurfaceNative, pdp.SurfaceAuthZEN, pdp.SurfaceOPA, pdp.SurfaceHTTP} {
		s.requests[f] = metrics.NewHistogram()
	}
	return s
}

func (s *stats) took(l metrics.Lane, f pdp.Surface, start time.Time) {
	s.requests[f].Observe(l, time.Since(start))
}

// Requests is how long requests on a surface took, from the last byte read to the answer being ready to send.
func (s *Server) Requests(f pdp.Surface) (metrics.Snapshot, bool) {
	h := s.stats.requests[f]
	if h == nil {
		return metrics.Snapshot{}, false
	}
	return h.Snapshot(), true
}

// Counts are the server's other counters, since its start.
type Counts struct {
	Connections uint64 // admitted
	Refused     uint64 // beyond the limit
	Strangers   uint64 // closed unanswered, for their uid
	Panics      uint64 // requests that ended in one
}

// Counts are the server's other counters.
func (s *Server) Counts() Counts {
	return Counts{
		Connections: s.stats.connections.Load(), Refused: s.stats.refused.Load(),
		Strangers: s.stats.strangers.Load(), Panics: s.stats.panics.Load(),
	}
}
