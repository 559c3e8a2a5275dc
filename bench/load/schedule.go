package load

import (
	"fmt"
	"math/rand/v2"
)

// Arrivals is how calls of an open loop follow each other.
type Arrivals uint8

// The ways. Poisson is what many callers that do not know of each other add up to: gaps are exponential, and bursts
// happen.
const (
	Constant Arrivals = iota
	Poisson
)

// String is the name on the command line.
func (a Arrivals) String() string {
	if a == Poisson {
		return "poisson"
	}
	return "constant"
}

// ParseArrivals reads such a name.
func ParseArrivals(s string) (Arrivals, error) {
	switch s {
	case "constant":
		return Constant, nil
	case "poisson":
		return Poisson, nil
	}
	return 0, fmt.Errorf("got %q, expected constant or poisson", s)
}

// schedule says when calls should begin, in nanoseconds from the start of the run. It knows nothing of what became of
// earlier ones. Times are kept as a float, whose 53 bits hold 100 days in nanoseconds, so that a rate that does not divide
// a second evenly does not drift.
type schedule struct {
	at  float64
	gap float64
	rng *rand.Rand // nil: constant
}

// newSchedule is worker i's of n share of a rate in calls a second: with constant arrivals they take turns.
func newSchedule(rate float64, a Arrivals, i, n int, seed uint64) schedule {
	s := schedule{gap: float64(n) * 1e9 / rate}
	s.at = float64(i) * 1e9 / rate
	if a == Poisson {
		s.rng = rand.New(rand.NewPCG(seed, uint64(i)))
		s.at = s.rng.ExpFloat64() * s.gap
	}
	return s
}

// next is when the next call should begin.
func (s *schedule) next() int64 { return int64(s.at) }

// advance moves on to the call after it.
func (s *schedule) advance() {
	if s.rng != nil {
		s.at += s.rng.ExpFloat64() * s.gap
		return
	}
	s.at += s.gap
}
