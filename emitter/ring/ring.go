package ring

import (
	"hash/crc32"
	"sync/atomic"
	"unsafe"

	"thymus/pdp"
)

// Ring is an open ring. Who owns what:
//
//   - The units between tail and cursor + capacity are free. A producer owns those it has claimed, by the
//     compare-and-swap that moved the tail over them, until it stores COMMITTED in their first control word; that store
//     hands them to the consumer.
//   - The consumer owns committed units between cursor and tail, until its store of the cursor hands them back.
//   - A control word is written by the owner of its unit only.
//
// Append, Pending, Shed, Offered, Backlog, Cursor, Tail and Epoch may be called from any goroutine at any time. Poll,
// Oldest and Advance belong to one consumer. SetCursor, SetTotals, Resize and Close need everyone else to be quiet.
type Ring struct {
	// Read by producers, written only while there are none.
	geometry
	head   *header
	words  unsafe.Pointer
	data   unsafe.Pointer
	limit  [1 << classBits]uint64
	salt   uint32
	closed atomic.Bool
	hook   func(step int, pos uint64) // tests only: see step

	_ [unit]byte
	// seen is a cursor that a producer read lately. It spares the others the consumer's line while there is room. It
	// may go backwards when two write it, and then only makes them look again.
	seen atomic.Uint64
	_    [unit]byte

	// The consumer's.
	polled struct {
		from, next uint64
		count      [pdp.Classes]uint64
	}
	mem  []byte
	file backing
}

// The steps at which tests look in, or die. They name what has just been done.
const (
	stepLooked    = iota // the tail is read
	stepClaimed          // the tail has moved
	stepPadded           // the padding before the record is stored
	stepMarked           // CLAIMED is stored
	stepHalf             // half of the payload is copied
	stepCopied           // all of it
	stepCommitted        // COMMITTED is stored
	stepStale            // the tail that was read had been passed by the cursor
	stepLost             // another producer's claim came first
	stepRefused          // a refusal is counted
	stepSlot             // the consumer's counts are stored, the cursor is not
	stepMended           // recovery has made something padding
	stepRecounted        // recovery has stored a count
	stepCleared          // recovery has cleared a control word beyond the tail
	stepMoved            // cursor or tail has been moved over a gap between them
	stepResizing         // a resize is announced
	stepReshaped         // the file has its new length
	steps
)

func (r *Ring) step(s int, pos uint64) {
	if r.hook != nil {
		r.hook(s, pos)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append copies p into the ring as a record of class c. False means that it was refused, and counted as shed: the
// class's share is full, or p is longer than MaxRecord. After Close it is refused without being counted. When Append
// returns true, the record survives the process.
func (r *Ring) Append(c pdp.Class, p []byte) bool {
	if len(p) > r.longest || c >= pdp.Classes || r.closed.Load() {
		return r.refuse(c, len(p))
	}
	h, need, limit := r.head, space(len(p)), r.limit[c]
	var sum uint32
	summed := false
	var tail, pad uint64
	for {
		tail = h.tail.Load()
		r.step(stepLooked, tail)
		pad = 0
		if room := r.capacity - tail&r.mask; need > room {
			pad = room
		}
		if tail+pad+need-r.seen.Load() > limit {
			cursor := h.cursor.Load()
			r.seen.Store(cursor)
			if int64(tail-cursor) < 0 { // since the load others claimed, and the consumer is already past
				r.step(stepStale, tail)
				continue
			}
			if tail+pad+need-cursor > limit {
				return r.refuse(c, len(p))
			}
		}
		if !summed { // after the check for space, so that a full ring costs nothing; before the claim, to keep that short
			sum, summed = crc32.Update(r.salt, castagnoli, p), true
		}
		if h.tail.CompareAndSwap(tail, tail+pad+need) {
			break
		}
		r.step(stepLost, tail)
	}
	h.taken[c].Add(1)
	r.step(stepClaimed, tail)
	if pad != 0 {
		r.control(tail).Store(r.padWord(tail, pad))
		r.step(stepPadded, tail)
		tail += pad
	}
	control := r.control(tail)
	control.Store(r.word(tail, claimed, c, len(p)))
	r.step(stepMarked, tail)
	b := unsafe.Slice((*byte)(unsafe.Add(r.data, tail&r.mask)), need)
	*(*uint64)(unsafe.Pointer(&b[0])) = uint64(mix(sum, tail, c, len(p)))
	if r.hook != nil {
		half := len(p) / 2
		copy(b[recordHead:], p[:half])
		r.step(stepHalf, tail)
		copy(b[recordHead+half:], p[half:])
		r.step(stepCopied, tail)
	} else {
		copy(b[recordHead:], p)
	}
	control.Store(r.word(tail, committed, c, len(p)))
	r.step(stepCommitted, tail)
	return true
}

func (r *Ring) refuse(c pdp.Class, n int) bool {
	if r.closed.Load() || c >= pdp.Classes {
		return false
	}
	if n > r.longest {
		r.head.oversize.Add(1)
	}
	r.head.shed[c].Add(1)
	r.step(stepRefused, 0)
	return false
}

// mix ties a checksum to the place and kind of its record: what an earlier lap left in the same units does not pass.
func mix(sum uint32, pos uint64, c pdp.Class, n int) uint32 {
	h := (pos/unit ^ uint64(c)<<56 ^ uint64(n)<<32) * 0x9e3779b97f4a7c15
	return sum ^ uint32(h>>32)
}

// control is the control word of the unit at a position.
func (r *Ring) control(pos uint64) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Add(r.words, (pos&r.mask)/unit*wordSize))
}

// payload is the bytes of the record of n bytes at a position.
func (r *Ring) payload(pos uint64, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(r.data, pos&r.mask+recordHead)), n)
}

// intact says whether a record's bytes are those that were committed.
func (r *Ring) intact(pos uint64, e entry) bool {
	got := *(*uint64)(unsafe.Add(r.data, pos&r.mask))
	return got == uint64(mix(crc32.Update(r.salt, castagnoli, r.payload(pos, e.length)), pos, e.class, e.length))
}

// Epoch identifies the file: random, never 0, another one in every file. Positions are unique under it.
func (r *Ring) Epoch() uint64 { return r.head.epoch }

// Cursor is the position before which everything is done.
func (r *Ring) Cursor() uint64 { return r.head.cursor.Load() }

// Tail is the position behind the last claim.
func (r *Ring) Tail() uint64 { return r.head.tail.Load() }

// Backlog is the number of bytes between cursor and tail, padding and claims that are still being written included. It is
// never more than Capacity, however long the caller was kept from running between two looks.
func (r *Ring) Backlog() (n uint64) {
	for range 4 {
		cursor := r.head.cursor.Load() // first: the tail is never behind a cursor that was read before it
		n = r.head.tail.Load() - cursor
		if r.head.cursor.Load() == cursor {
			return n
		}
	}
	return min(n, r.capacity) // the consumer is too quick for a difference of one moment
}

// Capacity is the number of bytes of data that the ring holds.
func (r *Ring) Capacity() uint64 { return r.capacity }

// MaxRecord is the longest payload that Append takes, in bytes: half of the smallest class's share, and no more than
// 16 MiB.
func (r *Ring) MaxRecord() int { return r.longest }
