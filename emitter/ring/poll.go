package ring

import "thymus/pdp"

// Poll hands the records at the cursor to fn, in order, at most max of them and none that a producer is still writing.
// It does not move the cursor: until Advance the same records come again. n is how many fn was given, next where to
// advance to once they are done; next may lie beyond the cursor with n = 0, where there was only padding.
//
// p is lent until Advance. fn runs in the caller's goroutine and must not call Advance.
func (r *Ring) Poll(max int, fn func(pos uint64, c pdp.Class, p []byte)) (n int, next uint64) {
	return r.PollFrom(r.head.cursor.Load(), max, func(pos uint64, c pdp.Class, p []byte) bool {
		fn(pos, c, p)
		return true
	})
}

// PollFrom is Poll from further on: pos is what the last Poll or PollFrom returned as next, or the position of a record
// that one delivered since the last Advance. A consumer takes more into the batch at hand with it. Where fn returns
// false it has not taken the record, and next is that record's position.
func (r *Ring) PollFrom(pos uint64, max int, fn func(pos uint64, c pdp.Class, p []byte) bool) (n int, next uint64) {
	if r.closed.Load() {
		return 0, pos
	}
	q := &r.polled
	if q.from != r.head.cursor.Load() || q.next != pos {
		q.from, q.count = pos, [pdp.Classes]uint64{} // begins here; what is not at the cursor is counted by Advance
	}
	for n < max {
		e, ok := r.read(pos, r.control(pos).Load())
		if !ok || e.state == claimed {
			break
		}
		if e.state == committed {
			if !fn(pos, e.class, r.payload(pos, e.length)) {
				break
			}
			q.count[e.class]++
			n++
		}
		pos += e.space
	}
	q.next = pos
	return n, pos
}

// Oldest hands the oldest pending record to fn, which may come again in Poll; false where there is none. It belongs to
// the consumer, like Poll. The record's own time says how old it is; a consumer that publishes it while it works on a
// batch lets others see how far behind it is, even when it is stuck.
func (r *Ring) Oldest(fn func(pos uint64, c pdp.Class, p []byte)) bool {
	n, _ := r.Poll(1, fn)
	return n == 1
}

// Advance declares everything before next done: its space is the producers' again, and its records are never delivered
// again, not after a kill either. Call it when the journal's side record up to next is written. next is a value that
// Poll returned, or the position of a record it delivered since the last Advance; anything else is a bug in the caller
// and panics.
func (r *Ring) Advance(next uint64) {
	cursor := r.head.cursor.Load()
	if next == cursor || r.closed.Load() {
		return
	}
	count := r.polled.count
	if r.polled.from != cursor || r.polled.next != next {
		var ok bool
		if count, ok = r.tally(cursor, next); !ok {
			panic("ring: advance to a position that is no record's")
		}
	}
	r.moveCursor(next, count)
}

// tally counts the records of a range by class; false where it is no chain of finished entries from one end to the
// other.
func (r *Ring) tally(from, to uint64) (count [pdp.Classes]uint64, ok bool) {
	if to-from > r.capacity {
		return count, false
	}
	for from != to {
		e, ok := r.read(from, r.control(from).Load())
		if !ok || e.state == claimed || to-from < e.space {
			return count, false
		}
		if e.state == committed {
			count[e.class]++
		}
		from += e.space
	}
	return count, true
}

// moveCursor stores what is done up to next in the slot that is not in use, then the cursor, which puts it in use.
func (r *Ring) moveCursor(next uint64, more [pdp.Classes]uint64) {
	_, done := r.head.done()
	for c := range done {
		done[c] += more[c]
	}
	r.setDone(next, done)
}

func (r *Ring) setDone(next uint64, done [pdp.Classes]uint64) {
	h := r.head
	s := &h.slots[0]
	if s.position.Load() == h.cursor.Load() {
		s = &h.slots[1]
	}
	for c := range done {
		s.done[c].Store(done[c])
	}
	s.position.Store(next)
	r.step(stepSlot, next)
	h.cursor.Store(next)
}
