package journal

import (
	"bytes"
	"os"
)

const adoptChunk = 1 << 20

// adoptSegment writes a new side file for a segment whose own is gone or holds nothing that can be read. prev is the
// state before it; next, if not 0, is the number that its successor begins with, and then the numbers must fit.
func (j *Journal) adoptSegment(first, next uint64, prev Side, rep *Repair) (records, error) {
	side := fileName(j.o.Dir, first, extSide)
	rep.damage(side, "the side file is gone or cannot be read; its lines were numbered anew, and nothing proves them")
	keep, last := j.seg, j.last
	defer func() { j.seg, j.last = keep, last }()
	seg, err := openSegment(j.o.Dir, first)
	if err != nil {
		return records{}, err
	}
	defer seg.close()
	s := prev
	s.Kind, s.First = KindOpen, first
	s.Offset, s.Length, s.Events, s.Missing = 0, 0, 0, 0
	if s.First < prev.Next() {
		return records{}, &ForeignError{side, "its segment begins with a number that the one before has used"}
	}
	j.chain(&s, nil)
	if err := seg.side.Truncate(0); err != nil {
		return records{}, &WriteError{"truncate", side, err}
	}
	if err := j.put(seg.side, j.rec[:], 0); err != nil {
		return records{}, err
	}
	j.seg, j.last = seg, s
	seg.records = 1
	size, err := fileSize(seg.lines)
	if err != nil {
		return records{}, &WriteError{"read", seg.lines.Name(), err}
	}
	if err := j.adopt(size, rep); err != nil {
		return records{}, err
	}
	if n := j.last.Next(); next > n {
		if err := j.skipNumbers(next - n); err != nil {
			return records{}, err
		}
		rep.Lost += next - n
	} else if next != 0 && next < n {
		rep.damage(side, "%d lines, but the numbers leave room for %d", n-first, next-first)
	}
	b, err := os.ReadFile(side)
	if err != nil {
		return records{}, &WriteError{"read", side, err}
	}
	return decodeAll(b), nil
}

// adopt writes records for the complete lines between the last record and size. Where the ring stood and what was
// consumed for them is not known: position and totals stay.
func (j *Journal) adopt(size int64, rep *Repair) error {
	buf := make([]byte, 0, adoptChunk)
	for {
		off := j.last.End()
		n := int(min(size-off, int64(cap(buf))))
		if n <= 0 {
			return nil
		}
		buf = buf[:n]
		if _, err := j.seg.lines.ReadAt(buf, off); err != nil {
			return &WriteError{"read", j.seg.lines.Name(), err}
		}
		end := bytes.LastIndexByte(buf, '\n') + 1
		if end == 0 {
			if cap(buf) < MaxBatch && off+int64(n) < size {
				buf = make([]byte, 0, 2*cap(buf))
				continue
			}
			return nil // no complete line: the caller cuts it
		}
		lines := buf[:end]
		s := j.follow(&Batch{
			Lines: lines, Events: bytes.Count(lines, newline), First: j.last.High, Last: j.last.High,
			RingEpoch: j.last.RingEpoch, RingEnd: j.last.RingEnd, Marks: j.last.Marks,
		})
		s.Kind = KindAdopted
		j.chain(&s, lines)
		if err := j.put(j.seg.side, j.rec[:], j.seg.sideEnd()); err != nil {
			return err
		}
		j.last = s
		j.seg.records++
		rep.Adopted += uint64(s.Events)
	}
}
