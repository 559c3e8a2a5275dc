package journal

import (
	"os"
)

// roll ends the segment and begins its successor. Once the successor's side file has its first record, readers go
// there; so after a roll that failed, the next append rolls again and never writes to the old segment.
func (j *Journal) roll() error {
	s := j.last
	s.Kind, s.Offset, s.Length, s.Events, s.Missing = KindOpen, 0, 0, 0, 0
	s.First = j.last.Next()
	j.rolling = true
	seg, err := j.begin(&s)
	if err != nil {
		return err
	}
	old, ended := j.seg, j.last
	j.seg, j.last, j.rolling = seg, s, false
	j.mu.Lock()
	j.ends(old.first, old.records, &ended)
	j.segs = append(j.segs, segmentInfo{first: s.First, next: s.First, high: s.High})
	j.retired = append(j.retired, old)
	j.mu.Unlock()
	j.publish()
	select {
	case j.ended <- struct{}{}:
	default: // the keeper has not come to the last one yet
	}
	return nil
}

// begin makes the files of the segment that s opens and writes s, completed, to its side file. Files that an earlier
// try left are overwritten: they hold no event.
func (j *Journal) begin(s *Side) (*segment, error) {
	seg := &segment{first: s.First}
	lines, side := fileName(j.o.Dir, s.First, extLines), fileName(j.o.Dir, s.First, extSide)
	var err error
	if seg.lines, err = create(lines); err != nil {
		return nil, err
	}
	if seg.side, err = create(side); err != nil {
		_ = seg.lines.Close() // empty
		return nil, err
	}
	j.chain(s, nil)
	if err = j.put(seg.side, j.rec[:], 0); err == nil && j.o.Fsync == FsyncAlways {
		if err = j.sync(seg.side); err == nil {
			if serr := syncDir(j.o.Dir); serr != nil {
				err = &WriteError{"sync", j.o.Dir, serr}
			}
		}
	}
	if err != nil {
		_ = seg.lines.Close() // empty, and made again by the next try
		_ = seg.side.Close()
		return nil, err
	}
	seg.records = 1
	return seg, nil
}

func create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, &WriteError{"create", path, err}
	}
	return f, nil
}

// openSegment opens both files of a segment for writing; a missing one is made.
func openSegment(dir string, first uint64) (*segment, error) {
	seg := &segment{first: first}
	var err error
	path := fileName(dir, first, extLines)
	if seg.lines, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, &WriteError{"open", path, err}
	}
	path = fileName(dir, first, extSide)
	if seg.side, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		_ = seg.lines.Close() // nothing was written
		return nil, &WriteError{"open", path, err}
	}
	return seg, nil
}

func (s *segment) close() {
	_ = s.lines.Close() // only called where nothing was written, or all is synced
	_ = s.side.Close()
}
