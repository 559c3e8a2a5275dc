package ring

import "thymus/pdp"

// Shed is the number of records refused by class, since the file was made. Records that recovery found torn are among
// them: they were taken, and are lost.
func (r *Ring) Shed() (n [pdp.Classes]uint64) {
	for c := range n {
		n[c] = r.head.shed[c].Load()
	}
	return n
}

// Oversize is how many of the shed were longer than MaxRecord.
func (r *Ring) Oversize() uint64 { return r.head.oversize.Load() }

// Offered is the number of records by class that Append was asked to take, since the file was made: counted by the
// producers as they come, apart from what Done, Pending and Shed count. Only an Append that a kill cut short is taken
// back from it, because its caller never heard a yes.
func (r *Ring) Offered() (n [pdp.Classes]uint64) {
	n = r.Shed()
	for c := range n {
		n[c] += r.head.taken[c].Load()
	}
	return n
}

// Done is the number of records by class that Advance passed, since the file was made. The journal's own count of what
// it has from this ring is equal to it whenever the cursor stands at the journal's position.
func (r *Ring) Done() [pdp.Classes]uint64 {
	_, n := r.head.done()
	return n
}

// Pending is the number of records by class that are committed and not yet passed by Advance. It looks at each of them:
// some ten nanoseconds a record, a millisecond for a full ring of 32 MiB. While others work on the ring it is a value
// between two moments of the call.
func (r *Ring) Pending() (n [pdp.Classes]uint64) {
	for try := 0; try < 4 && !r.closed.Load(); try++ {
		var cursor uint64
		if cursor, n = r.committedFrom(); r.head.cursor.Load() == cursor {
			return n
		}
	}
	n = [pdp.Classes]uint64{} // the consumer is too quick for a count: take the difference, of two moments, but no more than fits
	_, done := r.head.done()
	for c := range n {
		if taken := r.head.taken[c].Load(); taken > done[c] {
			n[c] = min(taken-done[c], r.capacity/space(0))
		}
	}
	return n
}

// committedFrom counts from the cursor to the tail, past claims that are still being written.
func (r *Ring) committedFrom() (cursor uint64, n [pdp.Classes]uint64) {
	cursor = r.head.cursor.Load()
	tail := r.head.tail.Load()
	for pos := cursor; pos != tail; {
		e, ok := r.read(pos, r.control(pos).Load())
		if !ok || tail-pos < e.space {
			break
		}
		if e.state == committed {
			n[e.class]++
		}
		pos += e.space
	}
	return cursor, n
}

// done reads cursor and counts as they belong together.
func (h *header) done() (cursor uint64, n [pdp.Classes]uint64) {
	for range 1024 { // ends at once, unless the consumer moves on during each single look
		cursor = h.cursor.Load()
		s := &h.slots[0]
		if s.position.Load() != cursor {
			s = &h.slots[1]
		}
		for c := range n {
			n[c] = s.done[c].Load()
		}
		if s.position.Load() == cursor && h.cursor.Load() == cursor {
			return cursor, n
		}
	}
	return cursor, n
}

// Refuse counts a record that its producer leaves out on purpose as offered and shed: what is not kept is counted,
// whoever decides it. It costs one atomic addition.
func (r *Ring) Refuse(c pdp.Class) { r.refuse(c, 0) }
