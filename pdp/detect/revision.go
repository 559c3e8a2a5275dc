package detect

import (
	"strings"

	"thymus/pdp"
)

// revisions follows which policy set the records are of. Activating another starts the windows anew.
type revisions struct {
	known bool   // there was a record
	seq   uint32 // of revision; 0 where it is not known
	gen   uint32 // counts activations
	past  [4]pastRevision

	probation    bool   // the revision is young, and could be at fault
	activated    int64  // when
	activeBefore int    // subjects that were active then
	permitted    uint32 // subjects permitted under it so far
	deprived     tally  // subjects denied under it, never permitted, that were permitted under one before
}

type pastRevision struct {
	name  string
	seq   uint32
	until int64 // when it was replaced
}

// straggle is how long after a change decisions that began before it may come, in records' time: the deadline of the
// longest batch, doubled.
const straggle = 2 * second

// activation looks which revision the record is of, and says whether it is of one that has been replaced: such records
// count for no window. The first revision is no activation, a start is no change.
func (d *Watcher) activation(rec *pdp.Record, at int64) (straggler bool) {
	if d.known && rec.Seq != 0 && rec.Seq == d.seq || rec.Seq == 0 && d.known && rec.Revision == d.revision {
		return false
	}
	name := rec.Revision
	if rec.Seq != 0 {
		name = ""
		for i := range d.past {
			if d.past[i].seq == rec.Seq {
				name = d.past[i].name
			}
		}
		if name == "" && d.resolve != nil {
			name = d.resolve(rec.Seq)
		}
	}
	if name == "" {
		return false // nothing can be said of it
	}
	if !d.known {
		d.known, d.revision, d.seq, d.gen = true, strings.Clone(name), rec.Seq, 1
		return false
	}
	if name == d.revision {
		d.seq = rec.Seq
		return false
	}
	oldest := 0
	for i := range d.past {
		if p := &d.past[i]; p.name == name && at <= p.until+straggle {
			p.seq = rec.Seq
			return true
		}
		if d.past[i].until < d.past[oldest].until {
			oldest = i
		}
	}
	d.past[oldest] = pastRevision{d.revision, d.seq, d.now}
	d.revision, d.seq = strings.Clone(name), rec.Seq
	d.activate()
	return false
}

// activate starts the windows anew; what was learnt of the past stays.
func (d *Watcher) activate() {
	d.gen++
	d.stats.Revisions++
	for det := range Detector(ofSubjects) {
		if d.guards[det].tripped {
			d.endGuard(det)
		}
		d.guards[det].fires.clear()
		d.guards[det].near.clear()
	}
	d.deprived.clear()
	d.system.anew()
	d.probation, d.activated, d.permitted = true, d.now, 0
	d.activeBefore = d.active.sum()
	if d.held > 0 {
		d.sweep()
	}
}

// standing notes whether the subject was permitted under the active revision; and where it was under an earlier one, and
// is denied now, that this revision may have taken something from it.
func (d *Watcher) standing(s *subject, rec *pdp.Record, denied, straggler bool) {
	switch {
	case straggler || s.permitted == d.gen:
	case rec.Flags.Has(pdp.FlagAllowed):
		if d.probation {
			d.permitted++
		}
		s.permitted = d.gen
		if s.deprived == d.gen {
			d.deprived.drop(s.deprivedAt)
			s.deprivedAt = 0
		}
	case denied && s.permitted != 0:
		if s.deprived != d.gen {
			s.deprived, s.deprivedAt = d.gen, 0
		}
		d.deprived.mark(&s.deprivedAt, d.now)
	}
}
