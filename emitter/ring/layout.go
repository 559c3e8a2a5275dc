package ring

import (
	"sync/atomic"
	"unsafe"

	"thymus/pdp"
)

// The file, all numbers little-endian, capacity a power of two:
//
//	0                     header, one page
//	4096                  control words, 8 bytes for each unit of 64 bytes of data
//	4096 + capacity/8     data
//
// A record occupies whole units and never crosses the end of the data; the claim that would cross it begins with
// padding up to there. The control word of a record's first unit says what is there:
//
//	63          29 28   27 26   24 23        0
//	┌─────────────┬───────┬───────┬───────────┐
//	│ lap + 1     │ state │ class │ length    │   length: bytes of payload; of padding, its units
//	└─────────────┴───────┴───────┴───────────┘
//
// Control words have an array of their own, so that no payload can ever pose as one. The lap makes the word of an
// earlier lap invalid without zeroing. It has 35 bits: a stale word would have to stay untouched for 2^35 laps to match
// again, and then only counts for the instant between a claim and its first store.
//
// A record's bytes:
//
//	0   check    CRC-32C of the payload, begun with the file's salt, mixed with position, class and length
//	4   zero
//	8   payload
const (
	magic   = 0x01474e4952594854 // THYRING and 1
	making  = 0x01454b414d594854 // THYMAKE and 1: in its place while a file is being made
	version = 1

	pageSize   = 4096
	unit       = 64
	wordSize   = 8
	recordHead = 8

	lengthBits = 24
	classBits  = 3
	stateBits  = 2
	classShift = lengthBits
	stateShift = classShift + classBits
	lapShift   = stateShift + stateBits
	lapBits    = 64 - lapShift
	lengthMask = 1<<lengthBits - 1

	// MinSize and MaxSize bound a ring's capacity in bytes.
	MinSize = 64 << 10
	MaxSize = 16 << 30
)

// The states of a control word. A word that was never written is none.
const (
	none = iota
	claimed
	committed
	padding
)

// header is the first page of the file. Each group is a cache line or more, by who writes it.
type header struct {
	// Written once, when the file is made; magic last.
	magic   atomic.Uint64 // 0
	version uint32        // 8
	check   uint32        // 12 CRC-32C of version, salt and epoch
	salt    uint32        // 16
	_       uint32
	epoch   uint64 // 24 random, never 0
	// Written before there are producers.
	capacity atomic.Uint64 // 32
	resizing atomic.Uint64 // 40 the capacity that the file is being changed to, else 0
	boot     [16]byte      // 48 of the system's start under which the pages were last known good
	_        [64]byte

	tail  atomic.Uint64              // 128 producers: end of the last claim
	taken [pdp.Classes]atomic.Uint64 // 136 producers: claims by class, on the line that the claim has just fetched
	_     [64]byte

	cursor atomic.Uint64 // 256 consumer: everything before it is done
	_      [56]byte
	slots  [2]slot // 320, 384 consumer: what was done up to cursor; the one whose position is cursor counts
	_      [64]byte

	shed     [pdp.Classes]atomic.Uint64 // 512 producers: refusals by class
	oversize atomic.Uint64              // 568 producers: those of them that were too long for any ring of this size
}

// slot is the number of records by class that lie before a position. There are two, so that the store of the cursor
// switches position and counts at once.
type slot struct {
	position atomic.Uint64
	done     [pdp.Classes]atomic.Uint64
}

// The line of the tail and the slots have room for seven classes, the control word for eight.
var (
	_ [0]struct{} = [unit - unsafe.Sizeof(slot{})]struct{}{}
	_ [0]struct{} = [576 - unsafe.Sizeof(header{})]struct{}{}
)

// geometry is what follows from a capacity.
type geometry struct {
	capacity uint64
	mask     uint64
	shift    uint // position >> shift is the lap
	longest  int  // payload, in bytes
}

func geometryOf(capacity uint64) geometry {
	g := geometry{capacity: capacity, mask: capacity - 1}
	for 1<<g.shift < capacity {
		g.shift++
	}
	// Half of the smallest share, so that a record and the padding before it always fit into an empty ring.
	g.longest = int(min(share(pdp.ClassAllow, capacity)/2-recordHead, lengthMask))
	return g
}

// fileSize is the length of a file for a capacity.
func fileSize(capacity uint64) uint64 { return pageSize + capacity/unit*wordSize + capacity }

// share is what a class may fill: allow three quarters, the other effects nine tenths, the rest all.
func share(c pdp.Class, capacity uint64) uint64 {
	switch c {
	case pdp.ClassAllow:
		return capacity / 4 * 3
	case pdp.ClassDeny, pdp.ClassWarn, pdp.ClassAudit:
		return capacity / 10 * 9
	}
	return capacity
}

// space is what a payload of n bytes occupies.
func space(n int) uint64 { return (uint64(n) + recordHead + unit - 1) &^ (unit - 1) }

// lap is a position's lap as it stands in a control word; the shift drops what exceeds its bits.
func (g geometry) lap(pos uint64) uint64 { return (pos>>g.shift + 1) << lapShift }

// word is the control word of a record of n bytes at a position.
func (g geometry) word(pos uint64, state uint64, c pdp.Class, n int) uint64 {
	return g.lap(pos) | state<<stateShift | uint64(c)<<classShift | uint64(n)
}

// padWord is the control word of padding of n bytes, a multiple of the unit.
func (g geometry) padWord(pos, n uint64) uint64 { return g.lap(pos) | padding<<stateShift | n/unit }

// entry is a control word read.
type entry struct {
	state  uint64
	class  pdp.Class
	length int    // bytes of payload
	space  uint64 // bytes to the next control word
}

// read takes a control word apart; false where it belongs to another lap or cannot stand at this position.
func (g geometry) read(pos, w uint64) (e entry, ok bool) {
	if (w^g.lap(pos))>>lapShift != 0 {
		return e, false
	}
	n := w & lengthMask
	e = entry{state: w >> stateShift & (1<<stateBits - 1), class: pdp.Class(w >> classShift & (1<<classBits - 1))}
	switch e.state {
	case padding:
		e.space = n * unit
	case claimed, committed:
		e.length, e.space = int(n), space(int(n))
		ok = e.class < pdp.Classes && e.length <= g.longest
	}
	ok = e.state == padding && n != 0 || ok
	return e, ok && pos&g.mask+e.space <= g.capacity
}
