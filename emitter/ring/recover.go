package ring

import "thymus/pdp"

// revive puts an existing file in order, mapped with the capacity that it has or is being given. It returns false where
// cursor and tail cannot be a ring's.
func (r *Ring) revive(rec *Recovery) bool {
	h := r.head
	if h.resizing.Load() != 0 {
		if h.cursor.Load() != h.tail.Load() {
			return false
		}
		r.reshape()
	}
	boot := bootID()
	rec.BootChanged = h.boot != boot
	if (rec.BootChanged || rec.Truncated) && !r.survey() || !r.mend(rec) {
		return false
	}
	h.boot = boot
	r.seen.Store(r.Cursor())
	return true
}

// mend puts everything between cursor and tail into a state that Poll gets through: committed and whole, or padding.
// Every step is one store that leaves a chain as good as before, so that it can be killed anywhere and run again. It
// returns false where cursor and tail cannot be a ring's.
func (r *Ring) mend(rec *Recovery) bool {
	h := r.head
	cursor, tail := h.cursor.Load(), h.tail.Load()
	if !r.plausible(cursor, tail) {
		return false
	}
	r.clearAhead(cursor, tail)
	var pending [pdp.Classes]uint64
	for pos := cursor; pos != tail; {
		e, ok := r.read(pos, r.control(pos).Load())
		switch {
		case !ok || tail-pos < e.space:
			rec.Abandoned++ // one at least: claims whose first store never came cannot be told apart
			e.space = r.gap(pos, tail)
			r.pad(pos, e.space)
		case e.state == claimed:
			rec.Abandoned++
			r.pad(pos, e.space)
		case e.state == committed && r.intact(pos, e):
			rec.Committed++
			pending[e.class]++
		case e.state == committed:
			rec.Torn++
			h.shed[e.class].Add(1)
			r.pad(pos, e.space)
		}
		pos += e.space
	}
	_, done := h.done()
	for c := range pending {
		want := done[c] + pending[c]
		if was := h.taken[c].Swap(want); was > want {
			rec.Recounted += was - want
		} else {
			rec.Recounted += want - was
		}
		r.step(stepRecounted, uint64(c))
	}
	return true
}

// plausible says whether cursor and tail can be a ring's, with counts that belong to the cursor.
func (r *Ring) plausible(cursor, tail uint64) bool {
	s := &r.head.slots
	return (cursor|tail)%unit == 0 && tail-cursor <= r.capacity &&
		(s[0].position.Load() == cursor || s[1].position.Load() == cursor)
}

// pad turns n bytes at a position into padding.
func (r *Ring) pad(pos, n uint64) {
	r.control(pos).Store(r.padWord(pos, n))
	r.step(stepMended, pos)
}

// clearAhead makes sure that no control word of the free space is valid, now or in a later lap. After a kill none is,
// because the tail moves first. After a restart of the system, a torn record may lie beyond the tail: its word would be
// valid for an instant when that place is claimed. What an earlier lap left stays: SetCursor may go back to it.
func (r *Ring) clearAhead(cursor, tail uint64) {
	for pos := tail; pos-cursor < r.capacity; pos += unit {
		w := r.control(pos).Load()
		if w>>stateShift&(1<<stateBits-1) != none && int64(w-r.lap(pos))>>lapShift >= 0 {
			r.control(pos).Store(0)
			r.step(stepCleared, pos)
		}
	}
}

// gap is the length of the space that begins at a position without a valid word: up to the next that has one, the end
// of the data or the tail.
func (r *Ring) gap(pos, tail uint64) uint64 {
	n := uint64(unit)
	for ; n < tail-pos && (pos+n)&r.mask != 0 && n/unit < lengthMask; n += unit {
		if _, ok := r.read(pos+n, r.control(pos+n).Load()); ok {
			break
		}
	}
	return n
}
