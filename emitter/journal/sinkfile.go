package journal

import (
	"encoding/binary"
	"errors"
	"os"
)

// A sink's file is three slots of one size. A save overwrites the slot that is neither the newest nor the newest one
// known to be on the disk, so that neither a kill nor a power failure in mid-write leaves less than one whole slot.
// Overwriting in place, rather than replacing the file, keeps saves ten times a second from forcing the file system's
// journal, and the segments with it, to the disk.
//
// Slot, little endian, zero behind its end:
//
//	 0  4  magic "TJK1"
//	 4  2  version, 1
//	 6  2  zero
//	 8  4  slot size
//	12  4  length up to and with the checksum
//	16  8  generation
//	24  8  start: number of the first event that is the sink's
//	32  8  rest: all below was taken or expired
//	40  8  delivered
//	48  8  refused
//	56  8  expired
//	64  4  partitions there were
//	68  4  n, partitions with unsettled events
//	72 24n partition (4), zero (4), next (8), unsettled (8)
//	 -  4  CRC32C of all before
const (
	slotMagic   = 0x314b4a54 // "TJK1"
	slotVersion = 1
	slotFixed   = 72
	slotPart    = 24
	slotMin     = 4096
	slotMax     = 64 << 20
)

// slots is where a sink's file stands.
type slots struct {
	size  int64
	gen   uint64
	newer int // slot of gen
	safe  int // newest slot known to be on the disk
	buf   []byte
}

var errSlot = errors.New("no valid slot")

func appendSlot(dst []byte, t *sinkState, size int64, gen uint64) []byte {
	le := binary.LittleEndian
	from := len(dst)
	dst = le.AppendUint32(dst, slotMagic)
	dst = le.AppendUint32(dst, slotVersion)
	dst = le.AppendUint32(dst, uint32(size))
	dst = le.AppendUint32(dst, uint32(slotFixed+slotPart*len(t.parts)+4))
	for _, v := range [...]uint64{gen, t.start, t.rest, t.delivered, t.refused, t.expired} {
		dst = le.AppendUint64(dst, v)
	}
	dst = le.AppendUint32(dst, uint32(t.partitions))
	dst = le.AppendUint32(dst, uint32(len(t.parts)))
	for _, p := range t.sorted() {
		dst = le.AppendUint64(dst, uint64(uint32(p)))
		dst = le.AppendUint64(dst, t.parts[p].next)
		dst = le.AppendUint64(dst, t.parts[p].open)
	}
	return le.AppendUint32(dst, checksum(dst[from:]))
}

func decodeSlot(b []byte) (t sinkState, size int64, gen uint64, err error) {
	le := binary.LittleEndian
	if len(b) < slotFixed+4 || le.Uint32(b) != slotMagic || le.Uint32(b[4:]) != slotVersion {
		return t, 0, 0, errSlot
	}
	size, n := int64(le.Uint32(b[8:])), int64(le.Uint32(b[12:]))
	count := int64(le.Uint32(b[68:]))
	if size < slotMin || size > slotMax || n > size || n > int64(len(b)) || n != slotFixed+slotPart*count+4 ||
		le.Uint32(b[n-4:]) != checksum(b[:n-4]) {
		return t, 0, 0, errSlot
	}
	gen, t.start, t.rest = le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:])
	t.delivered, t.refused, t.expired = le.Uint64(b[40:]), le.Uint64(b[48:]), le.Uint64(b[56:])
	t.partitions, t.parts = int32(le.Uint32(b[64:])), make(map[int32]part, count)
	var open uint64
	for i := range count {
		e := b[slotFixed+slotPart*i:]
		q := part{le.Uint64(e[8:]), le.Uint64(e[16:])}
		if q.next < t.start || q.next >= t.rest || q.open == 0 || q.open > t.rest-q.next {
			return t, 0, 0, errSlot
		}
		open += q.open
		t.parts[int32(le.Uint32(e))] = q
	}
	if int64(len(t.parts)) != count || t.start == 0 || t.rest < t.start || t.rest > maxNumber ||
		t.rest-t.start != t.delivered+t.refused+t.expired+open {
		return t, 0, 0, errSlot
	}
	return t, size, gen, nil
}

// readSlots finds the newest valid slot of a file's content.
func readSlots(b []byte) (t sinkState, d slots, err error) {
	err = errSlot
	size := int64(len(b)) / 3
	for i := range 3 {
		if size < slotMin {
			break
		}
		u, n, gen, serr := decodeSlot(b[int64(i)*size:])
		if serr == nil && n == size && (err != nil || gen > d.gen) {
			t, d, err = u, slots{size: size, gen: gen, newer: i, safe: i}, nil
		}
	}
	return t, d, err
}

// load reads the sink's file, or makes it where there is none or none that is whole.
func (s *Sink) load(path string, floor uint64) error {
	b, err := os.ReadFile(path)
	if err != nil && !notExist(err) {
		return &WriteError{"read", path, err}
	}
	s.state = sinkState{start: floor, rest: floor, parts: map[int32]part{}}
	if err == nil {
		if t, d, derr := readSlots(b); derr == nil {
			s.state, s.disk = t, d
		} else if otherSlots(b) {
			return &ForeignError{path, "written in another version of the layout"}
		} else {
			s.state.start, s.state.delivered = 1, floor-1
		}
	}
	if s.disk.size == 0 {
		if err := s.make(path, slotMin); err != nil {
			return err
		}
	}
	if s.f, err = os.OpenFile(path, os.O_RDWR, 0o600); err != nil {
		return &WriteError{"open", path, err}
	}
	return nil
}

// make replaces the file by one of larger slots, the state in the first.
func (s *Sink) make(path string, size int64) error {
	gen := s.disk.gen + 1
	b := make([]byte, 3*size)
	copy(b, appendSlot(nil, &s.state, size, gen))
	if err := replace(path, b, s.j.o.Fsync != FsyncNever); err != nil {
		return err
	}
	s.disk = slots{size: size, gen: gen}
	return nil
}

// save stores the state if it changed. With sync it is on the disk when save returns.
func (s *Sink) save(sync bool) error {
	s.saves.Lock()
	defer s.saves.Unlock()
	s.mu.Lock()
	d := &s.disk
	if !s.dirty && !(sync && d.safe != d.newer) {
		s.mu.Unlock()
		return nil
	}
	low, dirty := s.state.low(), s.dirty
	var err error
	slot := 0
	if need := int64(slotFixed + slotPart*len(s.state.parts) + 4); need > d.size {
		if err = s.make(s.f.Name(), 2*need); err == nil {
			err = s.reopen()
		}
		s.mu.Unlock()
	} else {
		for slot == d.newer || slot == d.safe {
			slot++
		}
		d.buf = appendSlot(d.buf[:0], &s.state, d.size, d.gen+1)
		s.dirty = false
		s.mu.Unlock()
		_, err = s.f.WriteAt(d.buf, int64(slot)*d.size)
		if err == nil {
			d.gen, d.newer = d.gen+1, slot
		}
	}
	if err == nil && sync {
		if err = s.f.Sync(); err == nil {
			d.safe = d.newer
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	if err != nil {
		s.dirty = s.dirty || dirty
		return &WriteError{"write", s.f.Name(), err}
	}
	s.low = max(s.low, low)
	return nil
}

func (s *Sink) reopen() error {
	f, err := os.OpenFile(s.f.Name(), os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	_ = s.f.Close() // the file that was replaced
	s.f, s.dirty = f, false
	return nil
}

// Save stores the position now, for a shipper that stops. The journal does so by itself ten times a second.
func (s *Sink) Save() error { return s.save(s.j.o.Fsync != FsyncNever) }
