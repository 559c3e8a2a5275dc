package ring

import "math/bits"

// Resize gives an empty ring another capacity, rounded up to a power of two. Epoch, positions and counts go on; the
// file stays the same one. It is for the start, before there are producers, when a ring whose file had another size
// than configured has been drained: see Recovery.Resized. *OptionError, *CursorError (records are pending) and
// *SpaceError leave the ring as it was; a *FileError closes it.
func (r *Ring) Resize(capacity uint64) error {
	if capacity < MinSize || capacity > MaxSize {
		return &OptionError{"size", "is " + size(capacity) + ", must be " + size(MinSize) + " to " + size(MaxSize)}
	}
	capacity = 1 << bits.Len64(capacity-1)
	cursor, tail := r.Cursor(), r.Tail()
	switch {
	case cursor != tail:
		return &CursorError{Position: tail, Cursor: cursor, Tail: tail, Problem: "records are pending, a ring is drained before it is resized"}
	case capacity == r.capacity:
		return nil
	}
	return r.remap(capacity)
}

// reshape makes an empty ring's control words fit the capacity it is mapped with: none is valid. It can be killed and
// run again as long as the mark is there.
func (r *Ring) reshape() {
	clear(r.mem[pageSize : pageSize+r.geometry.capacity/unit*wordSize])
	r.head.capacity.Store(r.geometry.capacity)
	r.head.resizing.Store(0)
}
