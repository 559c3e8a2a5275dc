package journal

import (
	"io"
	"os"
	"slices"
)

// open opens the segment that holds r.seq and finds the record. False: there is none yet.
func (r *Reader) open(c *Chunk) (bool, error) {
	for {
		segments, err := r.segments()
		if err != nil || len(segments) == 0 {
			return false, err
		}
		if segments[0] > r.seq {
			return r.gap(c, segments[0], GapExpired), nil
		}
		i, found := slices.BinarySearch(segments, r.seq)
		if !found {
			i--
		}
		ok, err := r.enter(segments[i])
		if err != nil {
			return false, err
		}
		if ok {
			break
		}
		if gone, err := r.expired(segments[i]); !gone {
			return false, err
		}
	}
	var err error
	r.idx, err = r.find(func(s *Side) bool { return s.Next() > r.seq })
	return err == nil, err
}

// expired says whether retention has removed the segment since it was listed: what comes next is found in a new list.
func (r *Reader) expired(first uint64) (bool, error) {
	segments, err := r.segments()
	return err == nil && len(segments) > 0 && segments[0] > first, err
}

func (r *Reader) segments() ([]uint64, error) {
	l, err := list(r.dir)
	if err != nil {
		return nil, err
	}
	l.trim()
	return l.segments, nil
}

// enter opens a segment's files. False: they went away meanwhile, or are not there yet.
func (r *Reader) enter(first uint64) (bool, error) {
	side, err := os.Open(fileName(r.dir, first, extSide))
	if err != nil {
		if notExist(err) {
			return false, nil
		}
		return false, &WriteError{"open", fileName(r.dir, first, extSide), err}
	}
	lines, err := os.Open(fileName(r.dir, first, extLines))
	if notExist(err) {
		segments, lerr := r.segments()
		if lerr != nil || len(segments) == 0 || segments[0] > first {
			_ = side.Close() // only read; retention is about to remove it too
			return false, lerr
		}
		lines, err = os.Open(os.DevNull) // damage: the side file tells which events are missing
	}
	if err != nil {
		_ = side.Close() // only read
		return false, &WriteError{"open", fileName(r.dir, first, extLines), err}
	}
	r.leave()
	r.first, r.lines, r.side, r.idx, r.window, r.windowAt = first, lines, side, 0, r.window[:0], 0
	return true, nil
}

func (r *Reader) leave() {
	if r.first != 0 {
		_ = r.lines.Close() // only read
		_ = r.side.Close()
	}
	r.first = 0
}

// move goes to the successor of a segment that has been read to its end, once that has its first record: from then on
// the writer does not come back. False: the segment is still the newest.
func (r *Reader) move(c *Chunk) (bool, error) {
	for {
		segments, err := r.segments()
		if err != nil {
			return false, err
		}
		i, found := slices.BinarySearch(segments, r.first)
		gone := !found
		if found {
			i++
		}
		if i == len(segments) {
			return false, nil
		}
		ok, err := begun(fileName(r.dir, segments[i], extSide))
		if err != nil {
			return false, err
		}
		if ok {
			var s Side
			if st, err := r.record(&s); err != nil || st != recordNone {
				return err == nil, err // something came before the writer moved on
			}
			if ok, err = r.enter(segments[i]); err != nil {
				return false, err
			}
		}
		if !ok {
			if left, err := r.expired(segments[i]); !left {
				return false, err
			}
			continue
		}
		if segments[i] > r.seq {
			why := GapMissing
			if gone {
				why = GapExpired
			}
			r.gap(c, segments[i], why)
		}
		return true, nil
	}
}

// begun says whether a side file holds a record that can be read.
func begun(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		if notExist(err) {
			return false, nil
		}
		return false, &WriteError{"open", path, err}
	}
	defer f.Close()
	b := make([]byte, 64*sideSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return false, &WriteError{"read", path, err}
	}
	return decodeAll(b[:n]).last >= 0, nil
}
