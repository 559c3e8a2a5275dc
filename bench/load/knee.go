package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// KneeOptions say what the knee is: the highest rate at which the server still keeps up.
type KneeOptions struct {
	Run   Options       // of each step; its Rate is where the search begins
	Bound time.Duration // on the 99th percentile
	Limit float64       // no step asks for more; 0: 1,000,000 calls a second
	Each  func(Step)    // told after each step; may be nil
}

// Step is one rate that was tried.
type Step struct {
	Rate   float64 `json:"rate"` // that was asked for
	Held   bool    `json:"held"`
	Why    string  `json:"why,omitempty"` // it was not held
	Result *Result `json:"result"`
}

// Knee is what the search found.
type Knee struct {
	Bound float64 `json:"bound_ms"`
	Rate  float64 `json:"rate"` // the highest that held; 0: none did
	// Generator says that the generator was what gave way first: the server holds more than Rate.
	Generator bool   `json:"generator_bound"`
	Steps     []Step `json:"steps"`
}

// apart is how close the search comes: the highest rate that held and the lowest that did not differ by no more.
const apart = 0.04

// Check says what is wrong with the search itself.
func (k *KneeOptions) Check() error {
	switch {
	case k.Bound <= 0:
		return errors.New("knee: expected a bound of more than 0s")
	case !(k.Run.Rate > 0):
		return errors.New("knee: expected a rate of more than 0 at which to begin")
	case !(k.Limit >= 0):
		return errors.New("knee: expected a largest rate of 0 or more")
	}
	return nil
}

// FindKnee doubles the rate until it does not hold, then halves the gap between the two. A rate holds where 99 % of the
// calls were answered within the bound, 99 % of what was asked was answered at all, nothing was wrong, and errors were
// rarer than one in a thousand.
func FindKnee(ctx context.Context, k KneeOptions) (*Knee, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	limit := k.Limit
	if limit == 0 {
		limit = 1e6
	}
	found := &Knee{Bound: ms(int64(k.Bound))}
	low, high := 0.0, 0.0
	late := false // at high
	for rate := min(k.Run.Rate, limit); ; {
		o := k.Run
		o.Rate = rate
		r, err := Run(ctx, o)
		if err != nil {
			return found, err
		}
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		s := Step{Rate: rate, Result: r}
		s.Why = fails(r, found.Bound)
		s.Held = s.Why == ""
		if found.Steps = append(found.Steps, s); k.Each != nil {
			k.Each(s)
		}
		if s.Held {
			low = rate
		} else {
			high = rate
			late = max(r.Late.P99, r.Turn.P99) > found.Bound/2
		}
		found.Rate, found.Generator = low, late
		switch {
		case high == 0 && rate >= limit, high > 0 && high-low <= apart*high, high > 0 && high < 10:
			return found, nil
		case high == 0:
			rate = min(2*rate, limit)
		default:
			rate = (low + high) / 2
		}
	}
}

// fails says why a rate was not held; empty where it was.
func fails(r *Result, bound float64) string {
	switch {
	case r.Wrong > 0:
		return fmt.Sprintf("%d wrong decisions", r.Wrong)
	case float64(r.Errors) > 0.001*float64(r.Asked):
		return fmt.Sprintf("%d errors", r.Errors)
	case float64(r.OK) < 0.99*float64(r.Asked):
		return fmt.Sprintf("%d of %d answered", r.OK, r.Asked)
	case r.Latency.P99 > bound:
		return fmt.Sprintf("p99 %.3g ms", r.Latency.P99)
	}
	return ""
}

// ByRate are the steps, slowest first.
func (k *Knee) ByRate() []Step {
	s := slices.Clone(k.Steps)
	slices.SortStableFunc(s, func(a, b Step) int { return cmp.Compare(a.Rate, b.Rate) })
	return s
}
