package detect

import (
	"strings"

	"thymus/pdp"
)

// incident is something that goes on: one subject, one detector, until it has been quiet for long enough.
type incident struct {
	start, last, told int64
	count, toldCount  uint64
	fired             uint32 // epoch of its detector's tally
	gen               uint32
	det               Detector
	rank, toldRank    uint8
	open              bool // Opened was said
	held              bool // said without Candidate, which may come yet
	candidate         bool // said with Candidate
	typ, id           string
	hash              uint64
}

// offence is one reason to report.
type offence struct {
	det    Detector
	rank   uint8  // severity so far
	total  uint64 // counted within the window, when the incident opens
	unit   uint64 // where more: counts that raise the severity by one step, eightfold; 0: severity stays
	record *pdp.Record
	what   string
	after  int64 // window
	at     int
}

const (
	tellAtLeast = 10 * second // an incident that goes on is told again as often, or when its count has doubled
	incidents   = 1 << 14
)

// report takes an offence into its subject's incident and tells what is new.
func (d *Watcher) report(who key, o *offence) {
	in := d.incident(who, o)
	if in == nil {
		d.stats.Dropped++
		return
	}
	if in.count == 0 {
		in.count = max(o.total, 1)
	} else {
		in.count++
	}
	in.last, in.gen = d.now, d.gen
	in.rank = max(in.rank, o.rank)
	if o.unit > 0 {
		steps := uint8(0)
		for n := o.unit * 8; in.count >= n && steps < critical; n *= 8 {
			steps++
		}
		in.rank = max(in.rank, min(o.rank+steps, critical))
	}
	g := &d.guards[o.det]
	g.fires.mark(&in.fired, d.now)
	if d.guard(o.det); g.tripped && !(in.open && in.start < g.since) {
		d.stats.Withheld++
		return
	}
	d.tellIncident(in, o, g.tripped || d.holds(o.det))
}

// of is the key of a subject's incident.
func (k key) of(det Detector) key { return key{k.a ^ uint64(det+1)*0x9e3779b97f4a7c15, k.b} }

// incident is the subject's open incident, or a new one.
func (d *Watcher) incident(who key, o *offence) *incident {
	k := who.of(o.det)
	i := d.incidentIndex.find(k)
	fresh := i < 0
	if fresh {
		if i = d.incidentIndex.victim(k, d.now, uint32(o.rank)+2); i < 0 {
			return nil
		}
		if d.incidentIndex.tags[i] != 0 {
			d.dropIncident(i)
		}
	} else if in := &d.incidents[i]; d.now-in.last > d.quiet || !in.open && !d.guards[o.det].tripped {
		// Over, or withheld while the policy was suspect: what comes now is another incident.
		d.dropIncident(i)
		fresh = true
	}
	in := &d.incidents[i]
	if fresh {
		*in = incident{
			start: d.now, det: o.det, rank: o.rank, hash: who.a ^ who.b,
			typ: strings.Clone(o.record.SubjectType), id: strings.Clone(o.record.SubjectID),
		}
		d.incidentIndex.put(i, k, d.now, 0)
	}
	d.incidentIndex.touch(i, d.now, uint32(max(in.rank, o.rank))+1)
	return in
}

func (d *Watcher) dropIncident(i int) {
	in := &d.incidents[i]
	d.guards[in.det].fires.drop(in.fired)
	if in.held {
		d.held--
	}
	*in = incident{}
	d.incidentIndex.clear(i)
}

func (d *Watcher) setHeld(in *incident, held bool) {
	if held != in.held {
		in.held = held
		if held {
			d.held++
		} else {
			d.held--
		}
	}
}

// tellIncident says what is new, if it is worth saying.
func (d *Watcher) tellIncident(in *incident, o *offence, held bool) {
	change := Again
	switch {
	case !in.open:
		change = Opened
	case in.rank > in.toldRank:
		change = Raised
	case in.held && !held:
		change = Released
	case in.count >= 2*in.toldCount || d.now-in.told >= tellAtLeast:
	default:
		return
	}
	d.setHeld(in, held)
	in.candidate = !held && !o.record.Flags.Has(pdp.FlagDryRun)
	in.open = true
	f := d.finding(in, change)
	f.Time = o.record.Time / 1000 * 1000
	f.Description = o.what
	f.Metadata = d.metadata(in, o)
	d.emit(f)
}

// finding is a Finding about a subject's incident as it is now.
func (d *Watcher) finding(in *incident, c Change) *Finding {
	in.told, in.toldCount, in.toldRank = d.now, in.count, in.rank
	d.key = appendIncident(d.key[:0], in.det, in.hash, in.start)
	d.f = Finding{
		Time: d.now * 1000, Detector: in.det, Change: c, Incident: lend(d.key), Threat: severities[in.rank],
		SubjectType: in.typ, SubjectID: in.id, Count: in.count, Candidate: in.candidate,
	}
	return &d.f
}

// emit hands a finding out.
func (d *Watcher) emit(f *Finding) {
	d.stats.Findings[f.Detector]++
	if d.out != nil {
		d.out(f)
	}
}
