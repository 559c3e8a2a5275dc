package health

import (
	"sync/atomic"

	"thymus/pdp"
)

// Check is one condition of readiness. It may be called from many goroutines at once, must not block, and gives the
// reason why it fails, or nothing.
type Check struct {
	Name string
	Fail func() string
}

// Health is the account. All methods may be called from many goroutines at once.
type Health struct {
	checks   []Check
	draining atomic.Bool
}

// New makes an account of the given conditions.
func New(checks ...Check) *Health { return &Health{checks: checks} }

// Drain makes readiness fail for good.
func (h *Health) Drain() { h.draining.Store(true) }

// Draining says whether Drain was called.
func (h *Health) Draining() bool { return h.draining.Load() }

// AppendLive appends the body for liveness, which holds as long as somebody can answer.
func (h *Health) AppendLive(dst []byte) []byte { return append(dst, `{"status":"ok"}`...) }

// AppendReady appends the body for readiness and says whether it is given.
func (h *Health) AppendReady(dst []byte) (body []byte, ready bool) {
	ready = !h.Draining()
	for i := range h.checks {
		ready = ready && h.checks[i].Fail() == ""
	}
	if ready {
		dst = append(dst, `{"status":"ready","checks":{`...)
	} else {
		dst = append(dst, `{"status":"not ready","checks":{`...)
	}
	for i := range h.checks {
		c := &h.checks[i]
		dst = pdp.AppendString(dst, c.Name)
		dst = append(dst, ':')
		dst = appendState(dst, c.Fail())
		dst = append(dst, ',')
	}
	why := ""
	if h.Draining() {
		why = "the process is going away"
	}
	dst = append(dst, `"draining":`...)
	dst = appendState(dst, why)
	return append(dst, `}}`...), ready
}

func appendState(dst []byte, why string) []byte {
	if why == "" {
		why = "ok"
	}
	return pdp.AppendString(dst, why)
}
