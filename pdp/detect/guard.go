package detect

import (
	"strconv"

	"thymus/pdp/immune"
)

// guard is the rail around one detector of subjects.
type guard struct {
	fires     tally  // subjects for whom it fired
	near      tally  // subjects who are half way there; denials and probing only
	tripped   bool   // the policy is suspect
	since     int64  // the incidents that began from here on are the policy's
	begin     int64  // of the episode
	over      int64  // last time that there were enough
	count     uint64 // subjects, the most at once
	toldCount uint64
}

// limit is how many subjects at once make the policy suspect.
func (d *Watcher) limit() int {
	active := d.active.sum()
	return max(d.c.Fleet.AtLeast, (active*d.c.Fleet.Percent+99)/100)
}

// accused is for how many subjects at once a detector fires, or would: where it looks at denials, those too whom the
// active revision denies what they were permitted before, though they may call too seldom to reach a threshold.
func (d *Watcher) accused(det Detector) int {
	n := d.guards[det].fires.sum()
	if det == RepeatedDenials || det == Probing {
		d.deprived.tick(d.now)
		n = max(n, d.deprived.sum())
	}
	return n
}

// guard looks whether a detector fires for too many at once.
func (d *Watcher) guard(det Detector) {
	g := &d.guards[det]
	n := d.accused(det)
	if n < d.limit() {
		return
	}
	g.over = d.now
	g.count = max(g.count, uint64(n))
	switch {
	case !g.tripped:
		g.tripped, g.begin, g.since, g.toldCount = true, d.now, d.now-d.fleetWindow, g.count
		d.distrust(det)
		d.sweep()
		d.tellGuard(det, Opened)
	case g.count >= 2*g.toldCount:
		g.toldCount = g.count
		d.tellGuard(det, Again)
	}
}

func (d *Watcher) tellGuard(det Detector, c Change) {
	g := &d.guards[det]
	d.key = appendIncident(d.key[:0], det, 0, g.begin)
	d.key = append(d.key, "-fleet"...)
	m := append(d.meta[:0], `{"detector":"`...)
	m = append(m, det.String()...)
	m = append(m, `","subjects":`...)
	m = strconv.AppendUint(m, g.count, 10)
	m = append(m, `,"active_subjects":`...)
	m = strconv.AppendInt(m, int64(d.active.sum()), 10)
	m = append(m, `,"window_seconds":`...)
	m = strconv.AppendInt(m, d.fleetWindow/second, 10)
	m = d.appendRevision(m)
	d.meta = append(m, '}')
	d.f = Finding{
		Time: d.now * 1000, Detector: det, Change: c, Incident: lend(d.key), Immune: immune.Critical,
		Kind: immune.PolicyViolation, Count: g.count, Metadata: d.meta, Suspect: true,
		Description: "a detector fires for so many subjects at once that the policy is suspect; no subject is quarantined for it",
	}
	if c == Ended {
		d.f.Description = "the detector fires for few subjects again"
	}
	d.emit(&d.f)
}

// distrust lets long windows begin anew where it is denials that the policy is suspected for, or was until now.
func (d *Watcher) distrust(det Detector) {
	if det == RepeatedDenials || det == Probing || det == SlowProbe {
		d.trust++
	}
}

// settle ends what is over; called when the clock moves on by an epoch.
func (d *Watcher) settle() {
	for det := range Detector(ofSubjects) {
		g := &d.guards[det]
		g.fires.tick(d.now)
		g.near.tick(d.now)
		if !g.tripped {
			continue
		}
		if d.accused(det) >= d.limit() {
			g.over = d.now
		} else if d.now-g.over > d.fleetWindow {
			d.endGuard(det)
		}
	}
}

func (d *Watcher) endGuard(det Detector) {
	g := &d.guards[det]
	d.tellGuard(det, Ended)
	g.tripped, g.count, g.toldCount = false, 0, 0
	d.distrust(det)
	d.sweep()
}

// holds says whether what det finds just now may yet turn out to be the policy's fault: a revision so young that those
// who were not permitted under it yet could make up the fleet's share, or as many subjects already half way there.
func (d *Watcher) holds(det Detector) bool {
	switch det {
	case SlowProbe:
		return d.holds(RepeatedDenials) || d.holds(Probing)
	case RepeatedDenials, Probing:
	default:
		return false
	}
	return d.probation || d.guards[det].near.sum() >= d.limit()
}

// probe looks whether the young revision has shown enough to be trusted.
func (d *Watcher) probe() {
	if d.now-d.activated > d.fleetWindow || max(d.active.sum(), d.activeBefore)-int(d.permitted) < d.limit() {
		d.probation = false
		d.sweep()
	}
}

// sweep goes through the incidents, a part of them a record, to say what a change of the guards makes of them.
func (d *Watcher) sweep() { d.sweeping = 0 }

const (
	sweepSlots = 4096
	sweepTells = 8
)

func (d *Watcher) sweepOn() {
	told := 0
	for n := 0; n < sweepSlots && told < sweepTells; n++ {
		if d.sweeping >= len(d.incidents) {
			d.sweeping = -1
			return
		}
		i := d.sweeping
		d.sweeping++
		if d.incidentIndex.tags[i] == 0 {
			continue
		}
		in := &d.incidents[i]
		g := &d.guards[in.det]
		switch {
		case g.tripped && in.open && in.start >= g.since && (in.candidate || in.held):
			d.setHeld(in, false)
			in.candidate = false
			d.tellSwept(in, Withdrawn, "the policy is suspect, not the subject")
			in.open = false // what comes later is counted, and told once the policy is no longer suspect
			told++
		case in.held && (in.gen != d.gen || d.now-in.last > d.quiet):
			d.setHeld(in, false) // found under a policy that is no longer active
		case in.held && !g.tripped && !d.holds(in.det):
			d.setHeld(in, false)
			in.candidate = true
			d.tellSwept(in, Released, "other subjects do not show the same: the subject is at fault, not the policy")
			told++
		}
	}
}

func (d *Watcher) tellSwept(in *incident, c Change, what string) {
	f := d.finding(in, c)
	f.Description = what
	m := append(d.meta[:0], `{"detector":"`...)
	m = append(m, in.det.String()...)
	m = append(m, '"')
	m = appendMember(m, "agent_id", in.id)
	m = appendMember(m, "subject_type", in.typ)
	d.meta = append(m, '}')
	f.Metadata = d.meta
	d.emit(f)
}
