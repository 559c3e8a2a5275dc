package detect

import (
	"math/bits"
	"strconv"

	"thymus/pdp"
	"thymus/pdp/immune"
)

// system watches the sidecar itself: errors of evaluation, slowness, and (by Gauge) ring and disk.
type system struct {
	errors     counter
	decisions  counter
	width      int64
	deadlines  uint64 // of what the incident counts
	errorsNow  episode
	latency    latency
	ring, disk pressure
}

// episode is an incident of the system.
type episode struct {
	open              bool
	start, last, told int64
	count, toldCount  uint64
	severity          immune.Severity
}

func newSystem(c *Config) system {
	return system{
		width:   width(max(us(c.Errors.Window), second)),
		latency: latency{window: max(us(c.Latency.Window), second)},
	}
}

// anew starts the windows of another revision; the past stays.
func (s *system) anew() {
	s.errors, s.decisions = counter{}, counter{}
	s.latency.begin = 0
}

func (s *system) observe(d *Watcher, rec *pdp.Record, straggler bool) {
	if straggler || rec.Flags.Has(pdp.FlagQuarantined) {
		return
	}
	if d.c.Errors.Enabled {
		s.decisions.add(d.now, s.width)
		if rec.Fault != pdp.NoFault {
			s.fault(d, rec)
		}
	}
	if d.c.Latency.Enabled && (rec.Fault == pdp.NoFault || rec.Fault == pdp.FaultDeadline) {
		s.latency.observe(d, rec.Eval)
	}
}

func (s *system) fault(d *Watcher, rec *pdp.Record) {
	c := &d.c.Errors
	e := &s.errorsNow
	deadline := uint64(0)
	if rec.Fault == pdp.FaultDeadline {
		deadline = 1
	}
	n := s.errors.add(d.now, s.width)
	if e.open && d.now-e.last > d.quiet {
		e.open = false
	}
	if !e.open {
		if int(n) < c.At {
			if n == 1 {
				s.deadlines = 0
			}
			s.deadlines += deadline
			return
		}
		e.count = uint64(n) - 1
	}
	s.deadlines += deadline
	e.count++
	m := append(d.meta[:0], `{"detector":"error_spike"`...)
	m = appendNumber(m, "window_seconds", us(c.Window)/second)
	m = appendNumber(m, "threshold", int64(c.At))
	m = appendNumber(m, "in_window", int64(n))
	m = appendNumber(m, "decisions", int64(max(s.decisions.total, n)))
	m = appendNumber(m, "deadlines", int64(s.deadlines))
	d.meta = append(d.appendRevision(m), '}')
	d.tellEpisode(e, ErrorSpike, immune.ErrorSpike, c.Severity, "evaluation fails, and what fails is denied")
}

// tellEpisode says what is new of an incident of the system, if it is worth saying. d.meta holds its metadata.
func (d *Watcher) tellEpisode(e *episode, det Detector, kind immune.Type, severity immune.Severity, what string) {
	change := Again
	e.last = d.now
	switch {
	case !e.open:
		change = Opened
		e.open, e.start, e.severity = true, d.now, severity
	case severity == immune.Critical && e.severity != immune.Critical:
		change, e.severity = Raised, severity
	case e.count >= 2*e.toldCount || d.now-e.told >= tellAtLeast:
	default:
		return
	}
	e.told, e.toldCount = d.now, e.count
	d.emitEpisode(e, det, kind, change, what)
}

func (d *Watcher) emitEpisode(e *episode, det Detector, kind immune.Type, change Change, what string) {
	d.key = appendIncident(d.key[:0], det, 0, e.start)
	d.f = Finding{
		Time: d.now * 1000, Detector: det, Change: change, Incident: lend(d.key), Immune: e.severity, Kind: kind,
		Count: e.count, Description: what, Metadata: d.meta,
	}
	d.emit(&d.f)
}

// latency compares the 90th percentile of a window with that of the windows before it: a few slow calls are no drift.
type latency struct {
	window int64
	begin  int64 // of the window at hand; 0: none
	n      uint32
	hist   [steps]uint32
	past   float64 // nanoseconds
	learnt int     // windows
	e      episode
}

const (
	steps         = 160     // quarters of an octave, from 1 ns to 18 minutes
	latencyCalls  = 100     // in a window, fewer say nothing
	latencyPast   = 10      // windows before there is a past
	latencyDecay  = 16      // windows: the newest counts a 16th
	latencyHarms  = 100_000 // nanoseconds below which nobody is slowed down, whatever the factor
	latencyGrowth = 2       // what one window can teach at most, of the past
)

// step is the quarter of an octave that ns lies in.
func step(ns int64) int {
	if ns < 4 {
		return int(max(ns, 0))
	}
	l := bits.Len64(uint64(ns)) - 3
	return min(l*4+int(ns>>l), steps-1)
}

// stepEnd is the first value behind a step.
func stepEnd(i int) float64 {
	if i < 4 {
		return float64(i + 1)
	}
	l := (i - 4) / 4
	return float64(uint64(i-4*l+1) << l)
}

func (l *latency) observe(d *Watcher, ns int64) {
	if l.begin == 0 || d.now < l.begin {
		l.begin, l.n, l.hist = d.now, 0, [steps]uint32{}
	}
	if d.now-l.begin >= l.window {
		l.end(d)
		l.begin, l.n, l.hist = d.now, 0, [steps]uint32{}
	}
	l.hist[step(ns)]++
	l.n++
}

func (l *latency) p90() float64 {
	left := l.n - l.n/10
	for i, n := range l.hist {
		if n >= left {
			return stepEnd(i)
		}
		left -= n
	}
	return stepEnd(steps - 1)
}

func (l *latency) end(d *Watcher) {
	if l.n < latencyCalls {
		return
	}
	x := l.p90()
	c := &d.c.Latency
	if l.e.open && d.now-l.e.last > max(d.quiet, 2*l.window) {
		l.e.open = false
	}
	if l.learnt >= latencyPast && x >= latencyHarms && x >= l.past*float64(c.Factor) {
		if !l.e.open {
			l.e.count = 0
		}
		l.e.count++
		m := append(d.meta[:0], `{"detector":"latency_drift"`...)
		m = appendNumber(m, "window_seconds", l.window/second)
		m = appendNumber(m, "factor", int64(c.Factor))
		m = append(m, `,"p90_ms":`...)
		m = strconv.AppendFloat(m, x/1e6, 'f', 3, 64)
		m = append(m, `,"past_p90_ms":`...)
		m = strconv.AppendFloat(m, l.past/1e6, 'f', 3, 64)
		m = appendNumber(m, "decisions", int64(l.n))
		d.meta = append(d.appendRevision(m), '}')
		d.tellEpisode(&l.e, LatencyDrift, immune.PerformanceDegradation, c.Severity, "evaluation is slower than in its own past")
	}
	if l.learnt < latencyPast {
		l.past += (x - l.past) / float64(l.learnt+1)
	} else {
		x = min(x, latencyGrowth*l.past)
		l.past += float64((x - l.past) / latencyDecay)
	}
	l.learnt++
}
