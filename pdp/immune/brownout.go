package immune

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Levels of a brown-out: what is left out, least missed first.
const (
	AllOn      = 0 // nothing
	NoCostly   = 1 // the detectors that cost most
	NoAllows   = 2 // and policy.evaluated of plain allows, which count as shed
	brownOuts  = 3
	brownPulse = "brown_out"
)

// BrownOutOptions say when optional work is left out. Pressures are percent of the ring.
type BrownOutOptions struct {
	Enter [brownOuts]float64 // the pressure at which each level begins; that of level 0 does not count
	Leave float64            // below it for Calm, the level goes down by one
	Calm  time.Duration
	Act   bool // else it is only said
	Most  int  // the highest level that may be acted upon
	// Apply is called with each level that is acted upon.
	Apply func(level int)
}

// BrownOut decides what is left out under pressure. Look belongs to one goroutine; Level may be called from any.
type BrownOut struct {
	o     BrownOutOptions
	level atomic.Int32
	since time.Time // below Leave; zero: not
	begun atomic.Int64
}

// NewBrownOut makes one at level 0.
func NewBrownOut(o BrownOutOptions) *BrownOut { return &BrownOut{o: o} }

// Level is the one at hand, whether it is acted upon or not.
func (b *BrownOut) Level() int { return int(b.level.Load()) }

// Active says whether anything is left out just now.
func (b *BrownOut) Active() bool { return b.o.Act && b.Level() > 0 }

// Look takes the pressure of now. It goes up at once, as many levels as it must, and down one level at a time, each
// after a calm. changed says that there is a transition to report.
func (b *BrownOut) Look(percent float64, now time.Time) (rep Report, changed bool) {
	level := int(b.level.Load())
	to := level
	for l := level + 1; l <= min(b.o.Most, brownOuts-1); l++ {
		if percent >= b.o.Enter[l] {
			to = l
		}
	}
	switch {
	case to > level:
		b.since = time.Time{}
	case level == 0 || percent >= b.o.Leave:
		b.since = time.Time{}
	case b.since.IsZero():
		b.since = now
	case now.Sub(b.since) >= b.o.Calm:
		to, b.since = level-1, now
	}
	if to == level {
		return Report{}, false
	}
	if level == 0 {
		b.begun.Store(now.UnixNano())
	}
	b.level.Store(int32(to))
	if b.o.Act && b.o.Apply != nil {
		b.o.Apply(to)
	}
	return b.report(level, to, percent), true
}

func (b *BrownOut) report(from, to int, percent float64) Report {
	what := [brownOuts]string{
		"nothing is left out any more",
		"the detectors that cost most (role change, rate, first-seen actions) are left out",
		"the detectors that cost most and the records of plain allows are left out; those count as shed",
	}[to]
	r := Report{Severity: Warning, Type: ResourceExhaustion, Module: brownPulse, Action: ActBrownOut,
		Message: fmt.Sprintf("brown-out level %d: %s; the event ring is %.0f %% full", to, what, percent),
		Meta:    fmt.Appendf(nil, `{"level":%d,"before":%d,"ring_percent":%.1f}`, to, from, percent)}
	if to < from {
		r.Severity = Info
	}
	if !b.o.Act {
		r.Action = ""
		r.Message = "would be: " + r.Message + "; immune.mode is observe"
	}
	return r
}

// Action is the brown-out as self-protection's actions list it; false while there is none.
func (b *BrownOut) Action() (Action, bool) {
	if !b.Active() {
		return Action{}, false
	}
	return Action{Action: ActBrownOut, Subject: "level " + string(rune('0'+b.Level())), Reason: "the event ring fills up", Since: seconds(b.begun.Load())}, true
}
