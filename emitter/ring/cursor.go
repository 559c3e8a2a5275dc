package ring

import "thymus/pdp"

// SetCursor moves the cursor to a position: the end of what the journal has, where its side record names this ring's
// Epoch. It is for recovery, before there are producers.
//
// Forward is the usual case: a kill came between the side record and Advance. Backward means that the journal has lost
// its end; the records are taken up again if they are all still there. Beyond the tail, the journal
// has more than this file knows of (the system went down under a ring on disk, or the file is an older copy): the ring
// is empty then and goes on from there, and its counts are to be set with SetTotals. *CursorError where the position is
// no record's, and nothing has changed.
func (r *Ring) SetCursor(pos uint64) error {
	cursor, tail := r.Cursor(), r.Tail()
	fail := func(problem string) error {
		return &CursorError{Position: pos, Cursor: cursor, Tail: tail, Problem: problem}
	}
	switch {
	case pos == cursor:
		return nil
	case pos%unit != 0:
		return fail("it is no multiple of 64")
	case int64(pos-tail) > 0:
		count, _ := r.tally(cursor, tail)
		_, done := r.head.done()
		for c := range done {
			done[c] += count[c]
		}
		boot := r.head.boot
		r.head.boot = [16]byte{} // a kill in between: survey knows a cursor beyond the tail, mend does not
		r.setDone(pos, done)
		r.step(stepMoved, pos)
		r.head.tail.Store(pos)
		r.head.boot = boot
	case int64(pos-cursor) > 0:
		count, ok := r.tally(cursor, pos)
		if !ok {
			return fail("no record begins there")
		}
		r.moveCursor(pos, count)
	default:
		if tail-pos > r.capacity {
			return fail("what lay there has been overwritten")
		}
		count, ok := r.whole(pos, cursor)
		if !ok {
			return fail("what lay there is no longer whole")
		}
		_, done := r.head.done()
		for c := range done {
			if done[c] < count[c] {
				return fail("more records lie in between than were ever done")
			}
			done[c] -= count[c]
		}
		r.setDone(pos, done)
	}
	r.seen.Store(pos)
	return nil
}

// whole is tally for a range that recovery has not seen: every record's checksum counts too.
func (r *Ring) whole(from, to uint64) (count [pdp.Classes]uint64, ok bool) {
	if count, ok = r.tally(from, to); !ok {
		return count, false
	}
	for from != to {
		e, _ := r.read(from, r.control(from).Load())
		if e.state == committed && !r.intact(from, e) {
			return count, false
		}
		from += e.space
	}
	return count, true
}

// SetTotals sets what the counts begin with: records done and shed by class before this file, so that Offered, Done and
// Shed go on where an earlier ring's ended. Call it before there are producers, when the journal's last side record
// names another Epoch than this ring's, with the journal's totals; and write a side record with the new Epoch before
// producers start, or a kill would make the next start do it again. Not atomic: a kill in the middle is mended by doing
// it again, which that same rule brings about.
func (r *Ring) SetTotals(done, shed [pdp.Classes]uint64) {
	h := r.head
	pending := r.Pending()
	s := &h.slots[0]
	if s.position.Load() != h.cursor.Load() {
		s = &h.slots[1]
	}
	for c := range done {
		s.done[c].Store(done[c])
		h.taken[c].Store(done[c] + pending[c])
		h.shed[c].Store(shed[c])
	}
}
