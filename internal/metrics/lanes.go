package metrics

import (
	"runtime"
	"sync/atomic"
)

// lanes is how many independent shares a counter has: twice the number of processors, at least 4, a power of two.
func lanes() int {
	n := 4
	for n < 2*runtime.GOMAXPROCS(0) && n < 256 {
		n *= 2
	}
	return n
}

// Lane names a share. Whoever counts holds one for as long as it likes; two holders of the same lane are correct, only
// slower.
type Lane uint32

// Dealer hands out lanes in turn. The zero value is ready; it may be used by many goroutines at once.
type Dealer struct{ next atomic.Uint32 }

// Lane is the next one.
func (d *Dealer) Lane() Lane { return Lane(d.next.Add(1)) }

// Counters is a fixed row of counters. All methods may be called from many goroutines at once.
type Counters struct {
	n     int
	width int // words a lane, rounded up to whole cache lines and one more apart
	mask  uint32
	cells []atomic.Uint64
}

// NewCounters makes n counters at zero.
func NewCounters(n int) *Counters {
	l, width := lanes(), (n+7)/8*8+8
	return &Counters{n: n, width: width, mask: uint32(l - 1), cells: make([]atomic.Uint64, l*width)}
}

// Add adds to counter i, 0 <= i < n.
func (c *Counters) Add(l Lane, i int, delta uint64) {
	c.cells[int(uint32(l)&c.mask)*c.width+i].Add(delta)
}

// Sum is the value of counter i.
func (c *Counters) Sum(i int) (s uint64) {
	for l := 0; l <= int(c.mask); l++ {
		s += c.cells[l*c.width+i].Load()
	}
	return s
}

// Len is how many counters there are.
func (c *Counters) Len() int { return c.n }
