package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// Repair says what Open found and did.
type Repair struct {
	Fresh     bool      // there was no journal
	Segments  int       // after the repair
	Withdrawn int64     // bytes of lines cut because no side record covers them: they were never journaled
	Torn      int64     // bytes of incomplete side records cut
	Dropped   int       // segments removed that a crash had only begun
	Lost      uint64    // events that side records cover and whose lines are gone (power failure); their numbers stay unused
	Skipped   uint64    // numbers left unused because a sink had already delivered events under them
	Adopted   uint64    // lines whose side record was gone, numbered anew; their records are missing from the totals
	Damage    []Problem // what could not be repaired: readers report it as gaps
}

// Clean says whether there was nothing to repair.
func (r *Repair) Clean() bool {
	return r.Withdrawn == 0 && r.Torn == 0 && r.Dropped == 0 && r.Lost == 0 && r.Skipped == 0 && r.Adopted == 0 &&
		len(r.Damage) == 0
}

// String is one line for a log.
func (r *Repair) String() string {
	if r.Fresh {
		return "new journal"
	}
	return fmt.Sprintf("%d segments, %d bytes withdrawn, %d torn, %d segments dropped, %d events lost, %d numbers skipped, "+
		"%d lines adopted, %d damages", r.Segments, r.Withdrawn, r.Torn, r.Dropped, r.Lost, r.Skipped, r.Adopted, len(r.Damage))
}

func (r *Repair) damage(path string, format string, args ...any) {
	r.Damage = append(r.Damage, Problem{File: filepath.Base(path), Why: fmt.Sprintf(format, args...)})
}

// recover brings the directory to a state that appends can continue from. Every step leaves a state from which it can
// be done again.
func (j *Journal) recover() (*Repair, error) {
	rep := &Repair{}
	l, err := list(j.o.Dir)
	if err != nil {
		return nil, err
	}
	for _, path := range l.temps {
		_ = os.Remove(path) // if it cannot go, the next replacement overwrites it
	}
	ahead, err := sinksAhead(j.o.Dir, l.sinks)
	if err != nil {
		return nil, err
	}
	l.segments = j.dropUnfinished(j.finishDrops(l), rep)
	if len(l.segments) == 0 {
		return rep, j.fresh(rep, max(ahead, 1))
	}
	prev := Side{} // state before the segment at hand
	for i, first := range l.segments {
		last := i == len(l.segments)-1
		next := uint64(0)
		if !last {
			next = l.segments[i+1]
		}
		if i > 0 && prev.Next() != first {
			rep.damage(fileName(j.o.Dir, first, extLines), "begins with number %d; what comes before ends with %d", first, prev.Next()-1)
		}
		if last {
			err = j.recoverLast(first, prev, rep)
		} else {
			prev, err = j.look(first, next, prev, rep)
		}
		if err != nil {
			return nil, err
		}
	}
	if ahead > j.last.Next() {
		rep.Skipped = ahead - j.last.Next()
		if err := j.skipNumbers(rep.Skipped); err != nil {
			return nil, err
		}
	}
	rep.Segments = len(j.segs)
	j.publish()
	return rep, nil
}

// fresh begins a journal whose first event has the number first.
func (j *Journal) fresh(rep *Repair, first uint64) error {
	s := Side{Kind: KindOpen, First: first}
	seg, err := j.begin(&s)
	if err != nil {
		return err
	}
	j.seg, j.last = seg, s
	j.segs = []segmentInfo{{first: first}}
	rep.Fresh, rep.Segments = first == 1, 1
	rep.Skipped = first - 1
	j.publish()
	return nil
}

// skipNumbers leaves n numbers unused.
func (j *Journal) skipNumbers(n uint64) error {
	s := j.follow(&Batch{RingEpoch: j.last.RingEpoch, RingEnd: j.last.RingEnd, Marks: j.last.Marks})
	s.Kind, s.Missing, s.Lost = KindRepair, n, s.Lost+n
	if err := j.write(&s, nil); err != nil {
		return err
	}
	j.last = s
	j.seg.records++
	return nil
}

// sinksAhead is one more than the largest number that any sink, registered or not, has seen: it must not be given again.
func sinksAhead(dir string, names []string) (uint64, error) {
	ahead := uint64(0)
	for _, name := range names {
		path := filepath.Join(dir, name+extSink)
		b, err := os.ReadFile(path)
		if err != nil {
			return 0, &WriteError{"read", path, err}
		}
		if t, _, err := readSlots(b); err == nil {
			ahead = max(ahead, t.rest)
		}
	}
	return ahead, nil
}

// finishDrops removes the side files of the oldest segments whose lines are gone: retention was interrupted there.
func (j *Journal) finishDrops(l *listing) []uint64 {
	segments := l.segments
	for len(segments) > 1 && !l.lines[segments[0]] {
		_ = os.Remove(fileName(j.o.Dir, segments[0], extSign)) // seen again at the next start
		_ = os.Remove(fileName(j.o.Dir, segments[0], extSide))
		segments = segments[1:]
	}
	return segments
}

// dropUnfinished removes segments at the end that a crash had only begun: no side record and no lines.
func (j *Journal) dropUnfinished(segments []uint64, rep *Repair) []uint64 {
	for n := len(segments); n > 0; n-- {
		first := segments[n-1]
		side, lines := fileName(j.o.Dir, first, extSide), fileName(j.o.Dir, first, extLines)
		if st, err := os.Stat(lines); err == nil && st.Size() > 0 {
			return segments[:n]
		}
		if b, err := os.ReadFile(side); err == nil {
			if recs := decodeAll(b); recs.last >= 0 {
				return segments[:n]
			}
		}
		_ = os.Remove(side) // overwritten by the segment that begins here, if it cannot go
		_ = os.Remove(lines)
		rep.Dropped++
	}
	return nil
}

// records are the records of one side file.
type records struct {
	all  []Side // the zero Side where a record cannot be read
	last int    // index of the last that can, -1
	torn int64  // bytes behind the last whole record
}

// decodeAll reads a side file. Records that an interrupted repair has replaced, and that still stand behind the record
// that replaces them, do not count: they begin with a number that the other has used.
func decodeAll(b []byte) records {
	r := records{last: -1, torn: int64(len(b) % sideSize)}
	next := uint64(0)
	for ; len(b) >= sideSize; b = b[sideSize:] {
		var s Side
		if s.decode(b) != nil {
			s = Side{}
		} else if s.First < next {
			break
		} else {
			next = s.Next()
			r.last = len(r.all)
		}
		r.all = append(r.all, s)
	}
	return r
}

// look reads the state behind a segment that is not the last, and notes what is wrong at its end; what is wrong within
// is for verify, or a start would take as long. A segment whose side file is gone gets a new one.
func (j *Journal) look(first, next uint64, prev Side, rep *Repair) (Side, error) {
	lines, side := fileName(j.o.Dir, first, extLines), fileName(j.o.Dir, first, extSide)
	recs, count, err := readEnd(side)
	if err != nil {
		return Side{}, err
	}
	if recs.last < 0 {
		if recs, err = j.adoptSegment(first, next, prev, rep); err != nil {
			return Side{}, err
		}
		count = int64(len(recs.all))
	}
	s := recs.all[recs.last]
	info := segmentInfo{first: first, next: next, bytes: count * sideSize, high: s.High}
	switch st, err := os.Stat(lines); {
	case notExist(err):
		rep.damage(lines, "the segment is missing; events %d to %d", first, s.Next()-1)
	case err != nil:
		return Side{}, &WriteError{"read", lines, err}
	default:
		info.bytes += st.Size()
		if st.Size() != s.End() {
			rep.damage(lines, "%d bytes, but its side file says %d", st.Size(), s.End())
		}
	}
	if n := len(recs.all) - 1 - recs.last; n > 0 {
		rep.damage(side, "the last %d records cannot be read", n)
	}
	j.segs = append(j.segs, info)
	if j.o.SignKey != nil {
		j.ends(first, count, &s)
	}
	return s, nil
}

// readEnd reads the last records of a side file, of which there are count; all of them where the last few cannot be
// read. Without a file there are none.
func readEnd(path string) (recs records, count int64, err error) {
	f, err := os.Open(path)
	if notExist(err) {
		return records{last: -1}, 0, nil
	}
	if err != nil {
		return recs, 0, &WriteError{"open", path, err}
	}
	defer f.Close()
	size, err := fileSize(f)
	count = size / sideSize
	for n := min(windowRecords, count); err == nil; n = count {
		b := make([]byte, n*sideSize)
		if _, err = f.ReadAt(b, (count-n)*sideSize); err == nil {
			if recs = decodeAll(b); recs.last >= 0 || n == count {
				return recs, count, nil
			}
		}
	}
	return recs, 0, &WriteError{"read", path, err}
}

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
