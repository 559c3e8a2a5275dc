package journal

import (
	"bytes"
	"os"
)

// recoverLast repairs the segment that is to be continued.
func (j *Journal) recoverLast(first uint64, prev Side, rep *Repair) error {
	side := fileName(j.o.Dir, first, extSide)
	b, err := os.ReadFile(side)
	if err != nil && !notExist(err) {
		return &WriteError{"read", side, err}
	}
	recs := decodeAll(b)
	if recs.last < 0 {
		if recs, err = j.adoptSegment(first, 0, prev, rep); err != nil {
			return err
		}
		b = nil
	}
	if j.seg, err = openSegment(j.o.Dir, first); err != nil {
		return err
	}
	j.segs = append(j.segs, segmentInfo{first: first})
	for i := range recs.all[:recs.last+1] {
		if recs.all[i].Kind == 0 {
			rep.damage(side, "record %d cannot be read", i+1)
		}
	}
	j.last, j.seg.records = recs.all[recs.last], int64(recs.last+1)
	if !j.o.noCheck {
		if err := j.keepComplete(&recs, rep); err != nil {
			return err
		}
	}
	return j.cutTail(&recs, int64(len(b)), rep)
}

// cutTail removes what lies behind the last side record: an incomplete record, and lines that no record covers. Lines
// behind whole records that cannot be read are kept: a kill leaves no such record, so they were journaled.
func (j *Journal) cutTail(recs *records, side int64, rep *Repair) error {
	size, err := fileSize(j.seg.lines)
	if err != nil {
		return &WriteError{"read", j.seg.lines.Name(), err}
	}
	rep.Torn = max(0, side-int64(len(recs.all))*sideSize)
	if recs.last < len(recs.all)-1 {
		rep.damage(j.seg.side.Name(), "records %d to %d cannot be read", recs.last+2, len(recs.all))
		rep.Torn = max(0, side-j.seg.sideEnd())
		if size > j.last.End() {
			if err := j.adopt(size, rep); err != nil {
				return err
			}
		}
	}
	rep.Withdrawn += max(0, size-j.last.End())
	if j.o.noWithdraw {
		j.last.Offset += size - j.last.End()
		return nil
	}
	if rep.Withdrawn > 0 || side != j.seg.sideEnd() {
		return j.withdraw()
	}
	return nil
}

// keepComplete handles a segment that is shorter than its side records say, or whose end is zeros, which is how a power
// failure leaves pages that were never written: the complete lines are kept, one record replaces those whose lines are
// gone, and what they held is counted as lost.
func (j *Journal) keepComplete(recs *records, rep *Repair) error {
	size, err := fileSize(j.seg.lines)
	if err != nil {
		return &WriteError{"read", j.seg.lines.Name(), err}
	}
	if written, err := j.writtenSize(recs, min(size, j.last.End())); err != nil {
		return err
	} else if written >= j.last.End() {
		return nil
	} else {
		size = written
	}
	k := 0
	for recs.all[k].Kind == 0 || recs.all[k].End() <= size {
		k++
	}
	s, head := recs.all[k], Side{}
	if k > 0 {
		head = recs.all[k-1]
	}
	kept := make([]byte, max(0, size-s.Offset))
	if _, err := j.seg.lines.ReadAt(kept, s.Offset); err != nil {
		return &WriteError{"read", j.seg.lines.Name(), err}
	}
	kept = kept[:bytes.LastIndexByte(kept, '\n')+1]
	first, offset, last := s.First, s.Offset, j.last
	if offset > size { // nothing of it is there: go on where lines end
		offset = min(head.End(), size)
	}
	s = last // ring position and totals: nothing of what is lost comes again
	s.Kind, s.First, s.Offset = KindRepair, first, offset
	s.Length, s.Events = uint32(len(kept)), uint32(bytes.Count(kept, newline))
	s.Missing = last.Next() - first - uint64(s.Events)
	s.Lost += s.Missing
	s.Head = head.Head
	j.chain(&s, kept)
	if err := j.put(j.seg.side, j.rec[:], int64(k)*sideSize); err != nil {
		return err
	}
	recs.all = append(recs.all[:k:k], s)
	recs.last = k
	j.last, j.seg.records = s, int64(k+1)
	rep.Lost += s.Missing
	return nil
}

// writtenSize is where zeros begin, if the records at the end do not match their lines and zeros are why; else size.
func (j *Journal) writtenSize(recs *records, size int64) (int64, error) {
	for k := recs.last; k >= 0; k-- {
		s := &recs.all[k]
		if s.Kind == 0 || s.Length == 0 || s.End() > size {
			continue
		}
		b := make([]byte, s.Length)
		if _, err := j.seg.lines.ReadAt(b, s.Offset); err != nil {
			return 0, &WriteError{"read", j.seg.lines.Name(), err}
		}
		if checksum(b) == s.sum {
			break
		}
		if z := bytes.IndexByte(b, 0); z >= 0 {
			size = s.Offset + int64(z)
		}
	}
	return size, nil
}
