package detect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// What was learnt of the past, in bytes, little endian, so that a restart does not begin with strangers. Short windows and
// incidents are not in it: the journal has them.
//
//	 0  8    "thymdet2"; "thymdet1" has no long windows
//	 8  u64  hash of the magic under the seed: keys of another seed mean nothing
//	16  i64  now, Unix microseconds
//	24  i64  width of a rate's window, microseconds
//	32  f64  latency of the past, nanoseconds
//	40  u32  windows it was learnt from
//	44  u32  length of the revision, r
//	48  u32  number of subjects, n
//	52  r    revision
//	    n times 88 bytes:
//	       0  16  key
//	      16  i64 first seen
//	      24  i64 last seen
//	      32  u32 records
//	      36  u32 2: permitted under the revision; 1: under an earlier one; 0: never
//	      40  32  actions
//	      72  u32 windows of rate; u32 limit; f32 mean; f32 variance
//	    u32  number of long windows, m; i64 width of their panes, microseconds
//	    m times 192 bytes:
//	       0  16  key
//	      16  i64 number of the newest pane
//	      24  u32 records before the last denial; u32 pace
//	      32  four panes, by number modulo four: 32 bits set, u32 records before it, u32 denials
//	    u32  CRC-32C of all before it
const (
	stateMagic = "thymdet2"
	stateOld   = "thymdet1"
	stateFixed = 52
	stateEntry = 88
	slowEntry  = 192
	maxName    = 1 << 10 // of a revision
)

// ErrState is what every error of LoadState is.
var ErrState = errors.New("detect: malformed state")

// AppendState appends what was learnt: 88 bytes for each subject seen eight times or more, 192 for each that was denied
// something within the long window. On the goroutine of Observe.
func (d *Watcher) AppendState(dst []byte) []byte {
	start := len(dst)
	le := binary.LittleEndian
	rev := d.revision
	if len(rev) > maxName {
		rev = ""
	}
	dst = append(dst, stateMagic...)
	dst = le.AppendUint64(dst, d.sip.sum(stateMagic).a)
	dst = le.AppendUint64(dst, uint64(d.now))
	dst = le.AppendUint64(dst, uint64(d.rate.width))
	dst = le.AppendUint64(dst, math.Float64bits(d.system.latency.past))
	dst = le.AppendUint32(dst, uint32(d.system.latency.learnt))
	dst = le.AppendUint32(dst, uint32(len(rev)))
	count := len(dst)
	dst = le.AppendUint32(dst, 0)
	dst = append(dst, rev...)
	n := uint32(0)
	for i, t := range d.index.tags {
		s := &d.subjects[i]
		if t == 0 || s.seen < settled {
			continue
		}
		n++
		dst = le.AppendUint64(dst, d.index.keys[i].a)
		dst = le.AppendUint64(dst, d.index.keys[i].b)
		dst = le.AppendUint64(dst, uint64(s.first))
		dst = le.AppendUint64(dst, uint64(s.last))
		dst = le.AppendUint32(dst, s.seen)
		permitted := min(s.permitted, 1)
		if permitted == 1 && s.permitted == d.gen {
			permitted = 2
		}
		dst = le.AppendUint32(dst, permitted)
		for _, w := range s.actions {
			dst = le.AppendUint64(dst, w)
		}
		dst = le.AppendUint32(dst, s.bins)
		dst = le.AppendUint32(dst, s.limit)
		dst = le.AppendUint32(dst, math.Float32bits(s.mean))
		dst = le.AppendUint32(dst, math.Float32bits(s.variance))
	}
	le.PutUint32(dst[count:], n)
	dst = d.appendSlow(dst)
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], crc32.MakeTable(crc32.Castagnoli)))
}

// LoadState takes back what AppendState wrote, before the first Observe; a Watcher that has seen records, or bytes that
// are no state of this seed, are refused whole, with an error that is ErrState. A revision other than the state's is then
// an activation: a rollout by restart is a rollout. Subjects that find no room are left out.
func (d *Watcher) LoadState(b []byte) error {
	le := binary.LittleEndian
	switch {
	case d.stats.Records > 0:
		return fmt.Errorf("%w: loaded after the first record", ErrState)
	case len(b) < stateFixed+4 || string(b[:8]) != stateMagic && string(b[:8]) != stateOld:
		return fmt.Errorf("%w: no state", ErrState)
	case crc32.Checksum(b[:len(b)-4], crc32.MakeTable(crc32.Castagnoli)) != le.Uint32(b[len(b)-4:]):
		return fmt.Errorf("%w: checksum", ErrState)
	case le.Uint64(b[8:]) != d.sip.sum(string(b[:8])).a:
		return fmt.Errorf("%w: of another seed", ErrState)
	}
	rev, n := int(le.Uint32(b[44:])), int(le.Uint32(b[48:]))
	end := stateFixed + rev + n*stateEntry
	slow := b[min(end, len(b)):]
	if string(b[:8]) == stateOld {
		slow = append(make([]byte, slowFixed), slow...)
	}
	if rev > maxName || len(slow) < slowFixed+4 || len(slow) != slowFixed+int(le.Uint32(slow))*slowEntry+4 {
		return fmt.Errorf("%w: %d bytes, which is not what they announce", ErrState, len(b))
	}
	d.now, d.recalled = int64(le.Uint64(b[16:])), true
	sameRate := int64(le.Uint64(b[24:])) == d.rate.width
	if past := math.Float64frombits(le.Uint64(b[32:])); past > 0 && past < math.MaxInt64 {
		d.system.latency.past, d.system.latency.learnt = past, int(le.Uint32(b[40:])&(1<<30-1))
	}
	if rev > 0 {
		d.known, d.revision, d.gen = true, string(b[stateFixed:stateFixed+rev]), 2
	}
	for b = b[stateFixed+rev : end]; len(b) > 0; b = b[stateEntry:] {
		k := key{le.Uint64(b), le.Uint64(b[8:])}
		s := subject{first: int64(le.Uint64(b[16:])), last: int64(le.Uint64(b[24:])), seen: le.Uint32(b[32:])}
		if d.known {
			s.permitted = min(le.Uint32(b[36:]), 2)
		}
		for i := range s.actions {
			s.actions[i] = le.Uint64(b[40+8*i:])
		}
		if sameRate {
			s.bins, s.limit = le.Uint32(b[72:]), le.Uint32(b[76:])
			s.mean, s.variance = math.Float32frombits(le.Uint32(b[80:])), math.Float32frombits(le.Uint32(b[84:]))
		}
		i := d.index.find(k)
		if i < 0 {
			i = d.index.victim(k, d.now, 0)
		}
		if i < 0 {
			d.stats.Untracked++
			continue
		}
		d.subjects[i] = s
		d.index.put(i, k, s.last, s.seen)
	}
	d.loadSlow(slow[:len(slow)-4])
	return nil
}
