package ring

// survey prepares a file for mend whose pages may be of different moments: the system went down under it. The header
// may be older than the data; then there are whole records beyond the tail, and where producers have been round since,
// newer ones on the place of those at the cursor, which must have been done.
//
// Each page is whole, so cursor, tail and counts belong together. It can be killed and run again: the cursor moves
// before the tail.
func (r *Ring) survey() bool {
	h := r.head
	cursor, tail := h.cursor.Load(), h.tail.Load()
	if int64(tail-cursor) < 0 {
		tail = cursor // a survey was killed between the two
	}
	if !r.plausible(cursor, tail) {
		return false
	}
	for i := uint64(0); i < r.capacity; i += unit {
		pos, ok := r.place(i, tail)
		if !ok || int64(pos-cursor) < 0 {
			continue
		}
		e, ok := r.read(pos, r.control(pos).Load())
		if end := pos + e.space; ok && int64(end-tail) > 0 && e.state == committed && r.intact(pos, e) {
			tail = end
		}
	}
	if tail-cursor > r.capacity {
		cursor = tail - r.capacity
		_, done := h.done()
		r.setDone(cursor, done)
		r.step(stepMoved, cursor)
	}
	h.tail.Store(tail)
	r.step(stepMoved, tail)
	return true
}

// place is the position nearest to near that the control word of the unit at an index can stand for.
func (r *Ring) place(index, near uint64) (pos uint64, ok bool) {
	w := r.control(index).Load()
	if w>>stateShift&(1<<stateBits-1) == none {
		return 0, false
	}
	ahead := int64(w&^(1<<lapShift-1)-r.lap(near)) >> lapShift // laps, signed
	return (near>>r.shift+uint64(ahead))<<r.shift | index, true
}
