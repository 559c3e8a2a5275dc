package journal

import (
	"os"
	"path/filepath"
)

// recover brings the directory to a state that appends can continue from. Every step leaves a state from which it can
// be done again.
func (j *Journal) recover() (*Repair, error) {
	rep := &Repair{}
	l, err := list(j.o.Dir)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(j.o.Dir, l.segments); err != nil {
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
