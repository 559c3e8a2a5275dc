package detect

import "math/bits"

// index finds slots by key in memory that never grows. A key lives within reach slots of its home and nowhere else, so
// that finding it, and finding that it is not there, costs one look at reach tags side by side.
//
// A full neighbourhood makes room only at the cost of what is stale or slight: names made up by the million push out
// each other, and never a subject that has been at work.
type index struct {
	mask  uint64
	tags  []uint16 // 0: free
	keys  []key
	marks []mark
	stale uint32 // seconds without a sign after which a slot may be taken
}

// mark is what decides who makes room.
type mark struct {
	last  uint32 // Unix seconds
	worth uint32
}

const reach = 16

// newIndex has room for at least n keys.
func newIndex(n int, staleAfter int64) index {
	size := 1 << bits.Len(uint(max(n, reach)-1))
	room := size + reach - 1
	return index{
		mask: uint64(size - 1), tags: make([]uint16, room), keys: make([]key, room), marks: make([]mark, room),
		stale: uint32(staleAfter / second),
	}
}

func (x *index) slots() int { return len(x.tags) }

func tag(k key) uint16 { return uint16(k.b>>48) | 1 }

// find is the slot of k, or -1.
func (x *index) find(k key) int {
	home, t := int(k.a&x.mask), tag(k)
	near := x.tags[home : home+reach]
	for i := range near {
		if near[i] == t && x.keys[home+i] == k {
			return home + i
		}
	}
	return -1
}

// victim is the slot that k, which is not there, may have: a free one, else the one of those that are stale or worth
// less than settled that was seen last the longest ago; -1 where there is none.
func (x *index) victim(k key, now int64, settled uint32) int {
	home, sec := int(k.a&x.mask), uint32(now/second)
	best, oldest := -1, uint32(0)
	for i := home; i < home+reach; i++ {
		if x.tags[i] == 0 {
			return i
		}
		m := x.marks[i]
		age := sec - m.last
		if age > 1<<31 {
			if m.last-sec < 60 {
				age = 0 // a record that was overtaken
			} else {
				age = 1 << 31 // the clock was set back
			}
		}
		if (age > x.stale || m.worth < settled) && (best < 0 || age > oldest) {
			best, oldest = i, age
		}
	}
	return best
}

func (x *index) put(i int, k key, now int64, worth uint32) {
	x.tags[i], x.keys[i], x.marks[i] = tag(k), k, mark{uint32(now / second), worth}
}

func (x *index) touch(i int, now int64, worth uint32) { x.marks[i] = mark{uint32(now / second), worth} }

func (x *index) clear(i int) { x.tags[i] = 0 }
