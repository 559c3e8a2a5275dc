package detect

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// LoadWindows takes back what AppendWindows wrote, behind LoadState and before the first Observe. Bytes that are none of
// this seed and configuration are refused whole, with an error that is ErrState. What is of another revision than the
// state's is left out, as an activation would.
func (d *Watcher) LoadWindows(b []byte) error {
	le := binary.LittleEndian
	switch {
	case d.stats.Records > 0:
		return fmt.Errorf("%w: loaded after the first record", ErrState)
	case len(b) < windowsFixed+4 || string(b[:8]) != windowsMagic:
		return fmt.Errorf("%w: no windows", ErrState)
	case crc32.Checksum(b[:len(b)-4], crc32.MakeTable(crc32.Castagnoli)) != le.Uint32(b[len(b)-4:]):
		return fmt.Errorf("%w: checksum", ErrState)
	case le.Uint64(b[8:]) != d.sip.sum64(windowsMagic):
		return fmt.Errorf("%w: of another seed", ErrState)
	case le.Uint64(b[16:]) != d.shape():
		return fmt.Errorf("%w: of another configuration", ErrState)
	}
	// Nothing that is in the windows comes again.
	d.recalled = false
	for _, load := range []bool{false, true} { // look first, so that nothing is taken of what is not whole
		r := reader{b: b[windowsFixed : len(b)-4]}
		rev := string(r.take(int(le.Uint32(b[24:]))))
		load = load && rev == d.revision
		for n := le.Uint32(b[28:]); n > 0 && !r.bad; n-- {
			d.loadSuspect(&r, load)
		}
		for n := le.Uint32(b[32:]); n > 0 && !r.bad; n-- {
			d.loadIncident(&r, load)
		}
		for n := le.Uint32(b[36:]); n > 0 && !r.bad; n-- {
			d.loadRole(&r, load)
		}
		if r.bad || len(r.b) > 0 {
			return fmt.Errorf("%w: not what it announces", ErrState)
		}
	}
	return nil
}

func (d *Watcher) loadSuspect(r *reader, load bool) {
	k := r.key()
	var s suspect
	s.denials.load(r)
	s.paths.load(r)
	items := make([]item, d.perSuspect())
	last := int64(0)
	for n := r.u16(); n > 0; n-- {
		i, x := int(r.u16()), item{at: int64(r.u64()), hash: r.u64()}
		if i >= len(items) || r.bad {
			r.bad = true
			return
		}
		items[i], last = x, max(last, x.at)
	}
	if !load || r.bad {
		return
	}
	i := d.suspectIndex.find(k)
	if i < 0 {
		i = d.suspectIndex.victim(k, d.now, 0)
	}
	if i < 0 {
		d.stats.Untracked++
		return
	}
	s.gen = d.gen
	if d.suspectIndex.tags[i] != 0 && d.suspectIndex.keys[i] == k {
		s.slow = d.suspects[i].slow // of the state
	}
	d.clearSuspect(i)
	d.suspects[i] = s
	copy(d.items[i*d.perSuspect():], items)
	last = max(last, s.denials.at*d.windows.denials, s.paths.at*d.windows.paths)
	d.suspectIndex.put(i, k, last, s.denials.total+s.paths.total)
}

func (d *Watcher) loadIncident(r *reader, load bool) {
	k := r.key()
	in := incident{hash: r.u64(), start: int64(r.u64()), last: int64(r.u64()), told: int64(r.u64()), count: r.u64(), toldCount: r.u64()}
	x := r.take(4)
	typ := r.take(int(r.u16()))
	id := r.take(int(r.u16()))
	if r.bad || x[0] >= ofSubjects || x[1] > critical || x[2] > critical {
		r.bad = true
		return
	}
	if !load {
		return
	}
	in.det, in.rank, in.toldRank = Detector(x[0]), x[1], x[2]
	in.open, in.candidate = x[3]&1 != 0, x[3]&4 != 0
	in.typ, in.id, in.gen = string(typ), string(id), d.gen
	i := d.incidentIndex.find(k)
	if i < 0 {
		i = d.incidentIndex.victim(k, d.now, 0)
	}
	if i < 0 {
		d.stats.Dropped++
		return
	}
	d.incidents[i] = in
	d.incidentIndex.put(i, k, in.last, uint32(in.rank)+1)
	d.setHeld(&d.incidents[i], x[3]&2 != 0)
}

// loadRole gives a subject its last role back, one too that has come since the state was kept.
func (d *Watcher) loadRole(r *reader, load bool) {
	k, role, at := r.key(), r.u64(), int64(r.u64())
	if !load || r.bad {
		return
	}
	i := d.index.find(k)
	if i < 0 {
		if i = d.index.victim(k, d.now, 0); i < 0 {
			d.stats.Untracked++
			return
		}
		d.subjects[i] = subject{first: at, last: at}
		d.index.put(i, k, at, 0)
	}
	d.subjects[i].role, d.subjects[i].roleAt = role, at
}

func (c *counter) load(r *reader) {
	c.at = int64(r.u64())
	for i := range c.n {
		c.n[i] = r.u16()
		c.total += uint32(c.n[i])
	}
}

// reader takes bytes from the front; what is not there makes it bad and is zero.
type reader struct {
	b   []byte
	bad bool
}

var zeros [maxName]byte

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) || r.bad {
		r.bad = true
		return zeros[:min(max(n, 0), len(zeros))]
	}
	x := r.b[:n]
	r.b = r.b[n:]
	return x
}

func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *reader) key() key    { return key{r.u64(), r.u64()} }
