package journal

import (
	"io"
	"slices"
)

const windowRecords = 32

// What stands at an index of a side file.
type recordState int

const (
	recordNone recordState = iota // nothing whole, or the last one and unreadable: it may be in the making
	recordGood
	recordBad // unreadable, but a later one is not: damage
)

// record reads the record at r.idx into s.
func (r *Reader) record(s *Side) (recordState, error) {
	st, err := r.peek(r.idx, s)
	if err != nil || st != recordBad {
		return st, err
	}
	for i := r.idx + 1; ; i++ {
		var later Side
		switch st, err := r.peek(i, &later); {
		case err != nil || st == recordNone:
			r.window = r.window[:0] // to be read anew: the writer may be at it
			return recordNone, err
		case st == recordGood:
			return recordBad, nil
		}
	}
}

// peek reads the record at index i through a window of several.
func (r *Reader) peek(i int64, s *Side) (recordState, error) {
	off := i * sideSize
	if off < r.windowAt || off+sideSize > r.windowAt+int64(len(r.window)) {
		r.window = slices.Grow(r.window[:0], windowRecords*sideSize)[:windowRecords*sideSize]
		n, err := r.side.ReadAt(r.window, off)
		if err != nil && err != io.EOF {
			r.window = r.window[:0]
			return recordNone, &WriteError{"read", r.side.Name(), err}
		}
		r.window, r.windowAt = r.window[:n-n%sideSize], off
		if n < sideSize {
			return recordNone, nil
		}
	}
	if err := s.decode(r.window[off-r.windowAt:]); err != nil {
		return recordBad, nil
	}
	return recordGood, nil
}

// find is the index of the first record of the open segment for which ok holds, given that it holds for all behind it.
// Records that cannot be read are passed over. Where it holds for none: the number of records.
func (r *Reader) find(ok func(*Side) bool) (int64, error) {
	size, err := fileSize(r.side)
	if err != nil {
		return 0, &WriteError{"read", r.side.Name(), err}
	}
	lo, hi := int64(0), size/sideSize
	for lo < hi {
		mid := lo + (hi-lo)/2
		var s Side
		at := mid
		st := recordBad
		for ; at < hi && st != recordGood; at++ {
			if st, err = r.peek(at, &s); err != nil {
				return 0, err
			}
		}
		switch {
		case st != recordGood, ok(&s):
			hi = mid
		default:
			lo = at
		}
	}
	return lo, nil
}

// SeekTime moves the reader to the first batch that holds an event of the time t, Unix nanoseconds, or later; no event
// of that time is before it. Where there is none, to the end.
func (r *Reader) SeekTime(t int64) error {
	segments, err := r.segments()
	if err != nil {
		return err
	}
	r.leave()
	// The last segment whose first record knows of no event so late.
	lo, hi := 0, len(segments)
	for lo < hi {
		mid := lo + (hi-lo)/2
		late, err := r.begins(segments[mid], t)
		if err != nil {
			return err
		}
		if late {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	for i := max(lo-1, 0); i < len(segments); i++ {
		if ok, err := r.enter(segments[i]); err != nil {
			return err
		} else if !ok {
			continue
		}
		if r.idx, err = r.find(func(s *Side) bool { return s.High >= t && s.Kind != KindOpen }); err != nil {
			return err
		}
		r.seq = segments[i]
		var s Side
		for {
			st, err := r.record(&s)
			if err != nil {
				return err
			}
			if st == recordGood {
				r.seq = s.First
				if s.High >= t && s.Kind != KindOpen {
					return nil
				}
				r.seq = s.Next()
			}
			if st == recordNone {
				break
			}
			r.idx++
		}
	}
	return nil
}

// begins says whether events before the segment were as late as t.
func (r *Reader) begins(first uint64, t int64) (bool, error) {
	if ok, err := r.enter(first); !ok {
		return false, err
	}
	var s Side
	st, err := r.record(&s)
	return err == nil && st == recordGood && s.High >= t, err
}
