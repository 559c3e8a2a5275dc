package detect

import "thymus/pdp"

// suspect is what is kept of a subject that has something against it. Its distinct resources, actions and roles lie in
// Watcher.items.
type suspect struct {
	denials, paths counter
	slow           patience
	nearDenials    uint32 // epochs of the tallies of those half way there
	nearProbing    uint32
	gen            uint32
}

// suspectBytes bounds the memory of suspects: with large thresholds of distinct things there is room for fewer.
const suspectBytes = 32 << 20

func suspectsFor(subjects, items int) int {
	n := max(subjects/8, 1024)
	for n > 1024 && n*(items*16+350) > suspectBytes {
		n /= 2
	}
	return n
}

func (d *Watcher) perSuspect() int { return 2*d.probes + d.roles }

// suspect is the subject's slot; nil where there is no room for it. One with less than slight against it makes room.
func (d *Watcher) suspect(who key) (s *suspect, items []item, slot int) {
	const slight = 3
	i := d.suspectIndex.find(who)
	if i < 0 {
		if i = d.suspectIndex.victim(who, d.now, slight); i < 0 {
			d.stats.Untracked++
			return nil, nil, -1
		}
		d.clearSuspect(i)
		d.suspectIndex.put(i, who, d.now, 0)
	} else if d.suspects[i].gen != d.gen {
		d.clearSuspect(i)
	}
	s = &d.suspects[i]
	s.gen = d.gen
	return s, d.items[i*d.perSuspect() : (i+1)*d.perSuspect()], i
}

func (d *Watcher) clearSuspect(i int) {
	s := &d.suspects[i]
	d.guards[RepeatedDenials].near.drop(s.nearDenials)
	d.guards[Probing].near.drop(s.nearProbing)
	*s = suspect{}
	clear(d.items[i*d.perSuspect() : (i+1)*d.perSuspect()])
}

// observeDenial counts a denial, and the distinct resources and actions that were denied.
// The subject itself may be nil: there was no room to remember it.
func (d *Watcher) observeDenial(who key, sub *subject, o *offence) {
	if !d.c.Denials.Enabled && !d.c.Probing.Enabled && !d.slow.on {
		return
	}
	s, items, slot := d.suspect(who)
	if s == nil {
		return
	}
	total := s.denials.add(d.now, d.windows.denials)
	d.suspectIndex.touch(slot, d.now, total+s.paths.total)
	if c := &d.c.Denials; c.Enabled {
		n := int(total)
		if 2*n >= c.Medium {
			d.guards[RepeatedDenials].near.mark(&s.nearDenials, d.now)
		}
		if n >= c.Medium {
			rank, at := medium, c.Medium
			if n >= c.Critical {
				rank, at = critical, c.Critical
			} else if n >= c.High {
				rank, at = high, c.High
			}
			o.set(RepeatedDenials, rank, uint64(n), c.Window, at, "one subject is denied again and again")
			o.unit = 0
			d.report(who, o)
		}
	}
	if c := &d.c.Probing; c.Enabled {
		d.observeProbe(who, o, s, items, c)
	}
	if d.slow.on && sub != nil {
		d.observeSlow(who, sub, s, o)
	}
}

func (d *Watcher) observeProbe(who key, o *offence, s *suspect, items []item, c *Threshold) {
	window := us(c.Window)
	resources, freshResource := 0, false
	if o.record.Flags.Has(pdp.FlagResource) {
		resources, freshResource = note(items[:d.probes], d.memo.sum64(d.sip, o.record.Resource), d.now, d.now, window)
	}
	actions, freshAction := note(items[d.probes:2*d.probes], d.memo.sum64(d.sip, o.record.Action), d.now, d.now, window)
	if 2*max(resources, actions) >= c.At {
		d.guards[Probing].near.mark(&s.nearProbing, d.now)
	}
	if resources >= c.At && freshResource || actions >= c.At && freshAction {
		o.set(Probing, c.Severity.Rank(), uint64(max(resources, actions)), c.Window, c.At,
			"one subject is denied distinct resources or actions")
		d.report(who, o)
	}
}

// observeRole looks for a subject that comes with another role than a while ago. Going back and forth between roles
// that are known of it by now is not told again.
func (d *Watcher) observeRole(who key, s *subject, o *offence) {
	c := &d.c.RoleChange
	window := us(c.Window)
	h := d.memo.sum64(d.sip, o.record.Role) | 1
	before, at := s.role, s.roleAt
	s.role, s.roleAt = h, d.now
	if before == h || before == 0 || d.now-at > window || at < d.activated {
		return
	}
	x, items, _ := d.suspect(who)
	if x == nil {
		return
	}
	roles := items[2*d.probes:]
	note(roles, before, at, d.now, window)
	if n, fresh := note(roles, h, d.now, d.now, window); n >= c.At && fresh {
		o.set(RoleChange, c.Severity.Rank(), uint64(n), c.Window, c.At, "one subject comes with distinct roles")
		d.report(who, o)
	}
}

// observePath counts requests whose path means something else once it is normalised.
func (d *Watcher) observePath(who key, o *offence) {
	s, _, slot := d.suspect(who)
	if s == nil {
		return
	}
	c := &d.c.PathConfusion
	n := s.paths.add(d.now, d.windows.paths)
	d.suspectIndex.touch(slot, d.now, n+s.denials.total)
	if int(n) >= c.At {
		o.set(PathConfusion, c.Severity.Rank(), uint64(n), c.Window, c.At, "the raw and the canonical path differ")
		d.report(who, o)
	}
}
