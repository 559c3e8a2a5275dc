package detect

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"thymus/pdp"
)

// Options are what a Watcher needs.
type Options struct {
	Config Config
	// Seed keys the hashes of names. It should be secret and stay the same for one directory: journals are read again
	// with the same findings under the same seed, and up to the bounds of memory under any.
	Seed [16]byte
	// Revision is the revision of a Record's Seq, "" where it is not known. Called where Seq changes, on the goroutine of
	// Observe. May be nil where all records have Seq 0.
	Revision func(seq uint32) string
}

// Watcher runs the detectors. Observe and Gauge belong to one goroutine, the pump's; the other methods may be called
// from any.
type Watcher struct {
	c        Config
	sip      sip
	memo     memo
	resolve  func(uint32) string
	out      func(*Finding)
	quiet    int64
	now      int64 // Unix microseconds; never goes back but where the clock was set back
	recalled bool  // now is an earlier life's, which the journal's end begins before
	stats    Stats
	revision string
	revisions

	// Subjects.
	index       index
	subjects    []subject
	active      tally
	fleetWindow int64
	rate        rateLimits
	slow        slowLimits
	trust       uint32 // counts how often the policy became suspect, and was it no longer: long windows begin anew
	decoys      decoys

	// Subjects with something against them.
	suspectIndex index
	suspects     []suspect
	items        []item // perSuspect a suspect: resources, actions, roles
	probes       int    // room for distinct resources, and for actions
	roles        int
	windows      struct{ denials, paths int64 } // widths of buckets

	incidentIndex index
	incidents     []incident
	guards        [ofSubjects]guard
	held          int
	sweeping      int // slot of incidents, -1: no sweep

	system system

	text, meta, key []byte
	f               Finding

	lean     atomic.Bool
	activeN  atomic.Int64
	asked    atomic.Bool // forget is not empty
	mu       sync.Mutex
	forget   []key
	forgetMy sip
}

// Stats counts what a Watcher did. It belongs to the goroutine of Observe.
type Stats struct {
	Records   uint64
	Findings  [Detectors]uint64
	Untracked uint64 // records of subjects that there was no room to remember
	Dropped   uint64 // offences that there was no room to remember
	Withheld  uint64 // offences not told, because the policy is suspect
	Restarts  uint64 // times that the clock was set back
	Revisions uint64 // activations

	shed   uint64 // of the last Reading
	gauged bool
}

// New makes a Watcher and all the memory it will have. The error is a *ConfigError.
func New(o Options) (*Watcher, error) {
	c := o.Config
	if err := c.check(); err != nil {
		return nil, err
	}
	d := &Watcher{
		c: c, sip: newSip(o.Seed), forgetMy: newSip(o.Seed), resolve: o.Revision, quiet: us(c.Quiet),
		fleetWindow: us(c.Fleet.Window), active: newTally(us(c.Fleet.Window)), sweeping: -1,
		decoys: newDecoys(c.Decoys), rate: newRateLimits(&c.Rate), slow: newSlowLimits(&c.SlowProbing), system: newSystem(&c),
	}
	d.index = newIndex(c.Subjects, 60*minute)
	d.subjects = make([]subject, d.index.slots())
	d.probes, d.roles = max(2*c.Probing.At, 8), max(2*c.RoleChange.At, 4)
	if !c.Probing.Enabled {
		d.probes = 0
	}
	if !c.RoleChange.Enabled {
		d.roles = 0
	}
	d.suspectIndex = newIndex(suspectsFor(c.Subjects, d.perSuspect()), max(us(c.Denials.Window), us(c.Probing.Window), us(c.PathConfusion.Window), us(c.RoleChange.Window)))
	d.suspects = make([]suspect, d.suspectIndex.slots())
	d.items = make([]item, d.suspectIndex.slots()*d.perSuspect())
	d.windows.denials, d.windows.paths = width(max(us(c.Denials.Window), second)), width(max(us(c.PathConfusion.Window), second))
	d.deprived = newTally(d.fleetWindow)
	d.incidentIndex = newIndex(incidents, d.quiet)
	d.incidents = make([]incident, d.incidentIndex.slots())
	for i := range d.guards {
		d.guards[i].fires, d.guards[i].near = newTally(d.fleetWindow), newTally(d.fleetWindow)
	}
	return d, nil
}

func us(t time.Duration) int64 { return t.Microseconds() }

// Observe looks at one record, in the order of the journal, and calls emit for what there is to say; emit may be nil,
// which only learns. The record is lent for the call.
func (d *Watcher) Observe(rec *pdp.Record, emit func(*Finding)) {
	d.out = emit
	d.stats.Records++
	at := rec.Time / 1000
	d.clock(at)
	if d.asked.Load() {
		d.forgetAsked()
	}
	straggler := d.activation(rec, at)
	d.system.observe(d, rec, straggler)
	if rec.SubjectID != "" {
		d.subject(rec, straggler)
	}
	if d.probation {
		d.probe()
	}
	if d.sweeping >= 0 {
		d.sweepOn()
	}
	d.out = nil
}

// clock follows the records' time. Records overtake each other by a little; a step back by more is a clock set right.
func (d *Watcher) clock(at int64) {
	switch {
	case at > d.now:
		d.now = at
	case at < d.now-overtaken:
		d.now = at
		d.stats.Restarts++
	case d.recalled: // what is seen again is seen at its time: its incidents are named by it
		d.now = at
	default:
		return
	}
	d.recalled = false
	before := d.active.at
	d.active.tick(d.now)
	if d.active.at == before {
		return
	}
	d.activeN.Store(int64(d.active.sum()))
	d.settle()
	if d.held > 0 && d.sweeping < 0 {
		d.sweep()
	}
}

const overtaken = 10 * second

// subject runs the detectors that look at who calls.
func (d *Watcher) subject(rec *pdp.Record, straggler bool) {
	who := d.who(rec.SubjectType, rec.SubjectID)
	quarantined := rec.Flags.Has(pdp.FlagQuarantined)
	denied := rec.Effect == pdp.Deny && rec.Fault == pdp.NoFault && !quarantined && !straggler
	o := offence{record: rec}
	s := d.remember(who)
	if s != nil {
		d.standing(s, rec, denied, straggler)
		if !quarantined && !d.lean.Load() {
			d.observeRate(who, s, &o)
			d.observeAction(who, s, &o)
		}
		if d.c.RoleChange.Enabled && rec.Flags.Has(pdp.FlagRole) && !d.lean.Load() {
			d.observeRole(who, s, &o)
		}
		s.seen++
		if s.seen == 0 {
			s.seen--
		}
		s.last = d.now
	} else {
		d.stats.Untracked++
	}
	if rec.Flags.Has(pdp.FlagResource) && d.decoys.has(rec.Resource) {
		o.decoy()
		d.report(who, &o)
	}
	if d.c.PathConfusion.Enabled && rec.Flags.Has(pdp.FlagPathDiffers) {
		d.observePath(who, &o)
	}
	if denied {
		d.observeDenial(who, s, &o)
	}
}

// who is the key of a subject; type and id are parted by a byte that no UTF-8 text has.
func (d *Watcher) who(typ, id string) key {
	d.text = append(append(append(d.text[:0], typ...), 0xff), id...)
	return d.sip.sum(lend(d.text))
}

// Active is how many subjects were active within the guard rail's window, as of the last eighth of it.
func (d *Watcher) Active() int { return int(d.activeN.Load()) }

// Lean leaves out the detectors that cost most: role change, rate and first-seen actions. For brown-outs.
func (d *Watcher) Lean(on bool) { d.lean.Store(on) }

// Forget clears a subject's windows and closes its incidents; what was learnt of its past stays. It takes effect before
// the next record is observed.
func (d *Watcher) Forget(subjectType, id string) {
	k := d.forgetMy.sum(strings.Join([]string{subjectType, id}, "\xff"))
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.forget) < 1<<16 {
		d.forget = append(d.forget, k)
	}
	d.asked.Store(true)
}

func (d *Watcher) forgetAsked() {
	d.mu.Lock()
	asked := d.forget
	d.forget = nil
	d.asked.Store(false)
	d.mu.Unlock()
	for _, who := range asked {
		if i := d.index.find(who); i >= 0 {
			s := &d.subjects[i]
			s.role, s.count, s.partial = 0, 0, true
		}
		if i := d.suspectIndex.find(who); i >= 0 {
			d.clearSuspect(i)
			d.suspectIndex.clear(i)
		}
		for det := range Detector(ofSubjects) {
			if i := d.incidentIndex.find(who.of(det)); i >= 0 {
				d.dropIncident(i)
			}
		}
	}
}

// Stats are the counts so far; on the goroutine of Observe.
func (d *Watcher) Stats() Stats { return d.stats }

// Revision is the revision that the records are of; on the goroutine of Observe.
func (d *Watcher) Revision() string { return d.revision }

// Suspects says whether a detector's findings are withheld because the policy is suspect; on the goroutine of Observe.
func (d *Watcher) Suspects(det Detector) bool { return det < ofSubjects && d.guards[det].tripped }
