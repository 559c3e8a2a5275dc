package detect

import (
	"time"

	"thymus/pdp/immune"
)

// Reading is how full ring and disk are, in percent, and how many records the ring has ever refused.
type Reading struct {
	Ring, Disk float64
	Shed       uint64
}

// pressure is the state of one of the two.
type pressure struct {
	e     episode
	below int64 // since when it is low enough again; 0: it is not
}

// Hysteresis: pressure is over once it has been so many points below its threshold for so long.
const (
	pressureBack  = 10
	pressureQuiet = minute
)

const sweepsAGauge = 8

// Gauge takes a reading; call it about once a second, on the goroutine of Observe. now is the wall clock: pressure is
// no record's, and a journal that is read again tells nothing of it.
func (d *Watcher) Gauge(now time.Time, r Reading, emit func(*Finding)) {
	d.out = emit
	defer func() { d.out = nil }()
	for range sweepsAGauge {
		if d.sweeping >= 0 {
			d.sweepOn() // records may be long in coming
		}
	}
	c := &d.c.Pressure
	if !c.Enabled {
		return
	}
	at := now.UnixMicro()
	shed := r.Shed > d.stats.shed && d.stats.gauged
	d.stats.shed, d.stats.gauged = r.Shed, true
	d.press(&d.system.ring, RingPressure, r.Ring, c.Ring, shed, at, "the event ring fills up")
	d.press(&d.system.disk, DiskPressure, r.Disk, c.Disk, false, at, "the journal's disk fills up")
}

func (d *Watcher) press(p *pressure, det Detector, percent float64, limit int, shed bool, at int64, what string) {
	e := &p.e
	full := percent >= float64(limit) || shed
	if !full && !e.open {
		return
	}
	m := appendNumber(append(append(append(d.meta[:0], `{"detector":"`...), det.String()...), '"'), "threshold", int64(limit))
	m = appendNumber(m, "percent", int64(percent))
	if shed {
		m = append(m, `,"shed":true`...)
	}
	d.meta = append(m, '}')
	before := d.now
	d.now = at // the incident is the wall clock's
	defer func() { d.now = before }()
	switch {
	case full:
		p.below = 0
		if !e.open {
			e.count = 0
		}
		e.count++
		severity := d.c.Pressure.Severity
		if shed {
			severity = immune.Critical
		}
		d.tellEpisode(e, det, immune.ResourceExhaustion, severity, what)
	case percent > float64(limit-pressureBack) && limit > pressureBack:
		p.below = 0
	case p.below == 0 || at < p.below:
		p.below = at
	case at-p.below >= pressureQuiet:
		d.emitEpisode(e, det, immune.ResourceExhaustion, Ended, "there is room again")
		*p = pressure{}
	}
}
