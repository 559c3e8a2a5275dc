package journal

import "bytes"

// Chunk is what Next gives: either events or a gap.
type Chunk struct {
	Gap       Gap
	First     uint64 // number of the first event, which the others follow without a gap; of a gap, its To
	Events    int
	Lines     []byte // the events' lines, each ended by \n; lent until the next call
	FirstTime int64  // of the batch that they are from, Unix nanoseconds
	LastTime  int64
}

// Gap is a range of numbers that cannot be given. From = To where there is none.
type Gap struct {
	From, To uint64 // To is the first number behind it
	Why      string // expired, lost, or what is damaged
}

// Count is how many events the gap takes.
func (g *Gap) Count() uint64 { return g.To - g.From }

// All gives the chunk's events with their numbers; lines come without their end and are lent like the chunk.
func (c *Chunk) All(yield func(seq uint64, line []byte) bool) {
	rest := c.Lines
	for i := range c.Events {
		n := bytes.IndexByte(rest, '\n')
		if n < 0 || !yield(c.First+uint64(i), rest[:n]) {
			return
		}
		rest = rest[n+1:]
	}
}

// Why a gap is there.
const (
	GapExpired = "expired"                                 // retention removed the segment
	GapLost    = "lost"                                    // recovery could not save them
	GapLines   = "lines do not match their side record"    // damage
	GapSide    = "side record cannot be read"              // damage
	GapMissing = "segment or its side records are missing" // damage
)
