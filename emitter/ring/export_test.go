package ring

import (
	"sync/atomic"

	"thymus/pdp"
)

// What the tests of package ring_test may see and do beyond the API.

const (
	StepLooked    = stepLooked
	StepClaimed   = stepClaimed
	StepPadded    = stepPadded
	StepMarked    = stepMarked
	StepHalf      = stepHalf
	StepCopied    = stepCopied
	StepCommitted = stepCommitted
	StepStale     = stepStale
	StepLost      = stepLost
	StepRefused   = stepRefused
	StepSlot      = stepSlot
	StepMended    = stepMended
	StepRecounted = stepRecounted
	StepCleared   = stepCleared
	StepMoved     = stepMoved
	StepResizing  = stepResizing
	StepReshaped  = stepReshaped
	Steps         = steps

	Claimed, Committed, Padding = claimed, committed, padding

	LapBits = lapBits
)

// From begins a new ring at a position.
func (o Options) From(start uint64) Options { o.start = start; return o }

// Watched calls hook at every step, in the goroutine that takes it.
func (o Options) Watched(hook func(step int, pos uint64)) Options { o.hook = hook; return o }

// Watch changes the hook of an open ring, while nobody uses it.
func (r *Ring) Watch(hook func(step int, pos uint64)) { r.hook = hook }

// DoneAt is the cursor and the counts up to it, read together.
func (r *Ring) DoneAt() (at struct {
	Position uint64
	Done     [pdp.Classes]uint64
}) {
	at.Position, at.Done = r.head.done()
	return at
}

// Image is the ring's file.
func (r *Ring) Image() []byte { return r.mem }

// Control is the control word of the unit at a position.
func (r *Ring) Control(pos uint64) *atomic.Uint64 { return r.control(pos) }

// Force stores another state into the control word at a position, as a broken producer would.
func (r *Ring) Force(pos, state uint64) {
	w := r.control(pos).Load()
	r.control(pos).Store(w&^(3<<stateShift) | state<<stateShift)
}

// At is where the bytes of the record at a position lie in the image.
func (r *Ring) At(pos uint64) int {
	return int(fileSize(r.capacity) - r.capacity + pos&r.mask + recordHead)
}

// Reborn is what a new process makes of an image. hook watches its recovery.
func Reborn(image []byte, hook func(step int, pos uint64)) (r *Ring, rec *Recovery, problem string) {
	id := identify(image[:pageSize])
	if id.problem != "" || id.fresh {
		return nil, nil, "unusable: " + id.problem
	}
	if fileSize(id.capacity) != uint64(len(image)) || id.resizing != 0 {
		return nil, nil, "another size"
	}
	r, rec = &Ring{hook: hook}, new(Recovery)
	r.attach(image, id.capacity)
	if !r.revive(rec) {
		return nil, nil, "contradiction"
	}
	r.hook = nil
	return r, rec, ""
}

// Heap is n bytes with the alignment of a mapping's.
func Heap(n int) []byte { return heapMemory(uint64(n)) }

// ParseBootID reads the system's identity of its start.
func ParseBootID(s string) [16]byte { return parseBootID(s) }

// FileSize is the length of a file for a capacity.
func FileSize(capacity uint64) uint64 { return fileSize(capacity) }
