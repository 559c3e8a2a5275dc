package detect

import (
	"encoding/binary"
	"math"
	"math/bits"

	"thymus/pdp"
)

const (
	panes     = 4   // of a long window: the one at hand and three that cover it
	paneWords = 4   // words of 64 bits
	paneBits  = 256 // and so many
)

// pane is a third of a long window: which distinct resources and actions a subject was denied, a bit each by their hash,
// so that a set takes 32 bytes however large it is.
type pane struct {
	bits    [paneWords]uint64
	seen    uint32 // decisions of the subject before the pane began
	denials uint32
}

// patience is a long window of one suspect. What lies within the window is always counted, and nothing that is older than
// the window and a third of it.
type patience struct {
	at    int64  // number of the newest pane
	trust uint32 // Watcher.trust when it began
	last  uint32 // decisions of the subject at its last denial
	pace  uint32 // sixteenths of decisions from denial to denial, of late
	panes [panes]pane
}

// slowLimits are what observeSlow needs of the configuration.
type slowLimits struct {
	on       bool
	width    int64 // of a pane
	bits     int   // set in all panes together from which on there are enough distinct things
	percent  uint64
	distinct [paneBits + 1]uint16 // how many things set so many bits
}

func newSlowLimits(c *SlowProbing) slowLimits {
	l := slowLimits{on: c.Enabled, width: (max(us(c.Window), second) + panes - 2) / (panes - 1), percent: uint64(c.Percent)}
	for n := range l.distinct {
		// Linear counting (Whang, Vander-Zanden, Taylor: "A linear-time probabilistic counting algorithm", 1990).
		free := max(float64(paneBits-n), 0.5)
		l.distinct[n] = uint16(math.Round(-paneBits * math.Log(free/paneBits)))
		if int(l.distinct[n]) < c.At {
			l.bits = n + 1
		}
	}
	return l
}

// move is the pane at hand. A clock that was set back empties them all.
func (p *patience) move(to int64) *pane {
	if to < p.at || to-p.at >= panes {
		*p = patience{at: to, trust: p.trust, last: p.last}
	}
	for p.at < to {
		p.at++
		p.panes[p.at&(panes-1)] = pane{}
	}
	return &p.panes[to&(panes-1)]
}

// sum adds the panes up: bits that are set in any, denials, and how many decisions there were before the oldest.
func (p *patience) sum() (set [paneWords]uint64, denials, before uint32) {
	for i := range int64(panes) {
		if x := &p.panes[(p.at-i)&(panes-1)]; x.denials > 0 {
			for w := range set {
				set[w] |= x.bits[w]
			}
			denials, before = denials+x.denials, x.seen
		}
	}
	return set, denials, before
}

// observeSlow looks for patience: distinct things denied over a long window, and a good part of all that the subject asks
// for. Who works and is denied now and then is none such, however much there is of its work; neither is one from whom the
// active revision took everything, which is the policy's doing. It says nothing of a subject whose probing goes on faster
// and is told already, nor long after it has ended: of what was asked of late as large a part must be denied.
func (d *Watcher) observeSlow(who key, s *subject, x *suspect, o *offence) {
	if s.permitted != 0 && s.permitted != d.gen || d.guards[RepeatedDenials].tripped || d.guards[Probing].tripped {
		return
	}
	if x.slow.trust != d.trust {
		x.slow = patience{trust: d.trust, last: s.seen}
	}
	p := x.slow.move(d.now / d.slow.width)
	x.slow.step(s.seen)
	if p.denials == 0 {
		p.seen = s.seen - 1
	}
	if p.denials++; p.denials == 0 {
		p.denials--
	}
	before, _, _ := x.slow.sum()
	fresh := p.note(&before, d.memo.sum64(d.sip, o.record.Action))
	if o.record.Flags.Has(pdp.FlagResource) {
		fresh = p.note(&before, bits.ReverseBytes64(d.memo.sum64(d.sip, o.record.Resource))) || fresh
	}
	if !fresh {
		return
	}
	n := 0
	for _, w := range before {
		n += bits.OnesCount64(w)
	}
	if n < d.slow.bits || !d.slow.much(s, &x.slow) {
		return
	}
	if i := d.incidentIndex.find(who.of(Probing)); i >= 0 && d.now-d.incidents[i].last <= d.quiet {
		return
	}
	c := &d.c.SlowProbing
	o.set(SlowProbe, c.Severity.Rank(), uint64(d.slow.distinct[n]), c.Window, c.At,
		"much of what one subject asks for is denied, distinct things over a long time")
	d.report(who, o)
}

// step notes a denial: how many decisions after the one before.
func (p *patience) step(seen uint32) {
	const longest = 1 << 16
	gap := longest
	if seen >= p.last {
		gap = int(min(seen-p.last, longest))
	}
	p.last = seen
	p.pace = uint32(max(int(p.pace)+(16*gap-int(p.pace))/8, 0))
}

// much says whether enough of what the subject asked for within the window was denied, and of late at least half of that.
func (l *slowLimits) much(s *subject, p *patience) bool {
	_, denials, before := p.sum()
	all := denials // it was forgotten meanwhile
	if s.seen >= before {
		all = max(s.seen-before, denials)
	}
	return uint64(denials)*100 >= uint64(all)*l.percent && uint64(p.pace)*l.percent <= 2*16*100
}

// note takes a hash into the pane and says whether it was in none before.
func (p *pane) note(before *[paneWords]uint64, h uint64) bool {
	w, bit := h>>6&(paneWords-1), uint64(1)<<(h&63)
	p.bits[w] |= bit
	fresh := before[w]&bit == 0
	before[w] |= bit
	return fresh
}

const slowFixed = 12 // bytes before the long windows of a state

// appendSlow appends the long windows: see AppendState.
func (d *Watcher) appendSlow(dst []byte) []byte {
	le, count := binary.LittleEndian, len(dst)
	dst = le.AppendUint64(le.AppendUint32(dst, 0), uint64(d.slow.width))
	n := uint32(0)
	for i, t := range d.suspectIndex.tags {
		s := &d.suspects[i]
		p := &s.slow
		if t == 0 || s.gen != d.gen || p.trust != d.trust || p.at == 0 || d.now/d.slow.width-p.at >= panes {
			continue
		}
		n++
		dst = le.AppendUint64(appendKey(dst, d.suspectIndex.keys[i]), uint64(p.at))
		dst = le.AppendUint32(le.AppendUint32(dst, p.last), p.pace)
		for j := range p.panes {
			x := &p.panes[j]
			for _, w := range x.bits {
				dst = le.AppendUint64(dst, w)
			}
			dst = le.AppendUint32(le.AppendUint32(dst, x.seen), x.denials)
		}
	}
	le.PutUint32(dst[count:], n)
	return dst
}

// loadSlow takes back what appendSlow wrote. Who was denied since the state was written is observed again: what is set
// already is set again, and what is counted twice is so among denials and decisions alike.
func (d *Watcher) loadSlow(b []byte) {
	le := binary.LittleEndian
	if !d.slow.on || int64(le.Uint64(b[4:])) != d.slow.width {
		return
	}
	for b = b[slowFixed:]; len(b) > 0; b = b[slowEntry:] {
		k := key{le.Uint64(b), le.Uint64(b[8:])}
		i := d.suspectIndex.find(k)
		if i < 0 {
			i = d.suspectIndex.victim(k, d.now, 0)
		}
		if i < 0 {
			d.stats.Untracked++
			continue
		}
		d.clearSuspect(i)
		d.suspectIndex.put(i, k, d.now, 0)
		s := &d.suspects[i]
		s.gen = d.gen
		s.slow = patience{at: int64(le.Uint64(b[16:])), trust: d.trust, last: le.Uint32(b[24:]), pace: le.Uint32(b[28:])}
		for j := range s.slow.panes {
			x, p := &s.slow.panes[j], b[32+40*j:]
			for w := range x.bits {
				x.bits[w] = le.Uint64(p[8*w:])
			}
			x.seen, x.denials = le.Uint32(p[32:]), le.Uint32(p[36:])
		}
	}
}
