package detect

// Times are Unix microseconds, which is what events keep.
const (
	millisecond = 1000
	second      = 1000 * millisecond
	minute      = 60 * second
)

const buckets = 32

// counter counts what happened within a window, in buckets a 31st of it wide. It never misses what lies within the
// window, and counts nothing that is older than 32 thirty-firsts of it.
type counter struct {
	at    int64 // number of the newest bucket
	total uint32
	n     [buckets]uint16
}

// width of a counter's buckets.
func width(window int64) int64 { return (window + buckets - 2) / (buckets - 1) }

func (c *counter) add(now, width int64) uint32 {
	c.move(now / width)
	if n := &c.n[c.at&(buckets-1)]; *n < 1<<16-1 {
		*n++
		c.total++
	}
	return c.total
}

// move lets go of what is out of the window. A clock that was set back empties it.
func (c *counter) move(to int64) {
	if to == c.at {
		return
	}
	if to < c.at || to-c.at >= buckets {
		*c = counter{at: to}
		return
	}
	for c.at < to {
		c.at++
		n := &c.n[c.at&(buckets-1)]
		c.total -= uint32(*n)
		*n = 0
	}
}

// item is one of the distinct things that a subject did of late; at 0: none.
type item struct {
	at   int64
	hash uint64
}

// note takes h, seen at a time up to now, into the set and says how many distinct ones there are within the window, as
// many as the set has room for at most, and whether h was not among them.
func note(set []item, h uint64, at, now, window int64) (distinct int, fresh bool) {
	oldest := 0
	found := -1
	for i := range set {
		age := now - set[i].at
		if set[i].at == 0 || age > window || age < 0 {
			set[i] = item{}
		} else {
			distinct++
			if set[i].hash == h {
				found = i
			}
		}
		if set[i].at < set[oldest].at {
			oldest = i
		}
	}
	if found >= 0 {
		set[found].at = max(set[found].at, at)
		return distinct, false
	}
	if set[oldest].at == 0 {
		distinct++
	}
	set[oldest] = item{at, h}
	return distinct, true
}

const (
	epochs  = 16
	current = 9 // epochs that count: the one at hand and the eight of a window before it
)

// tally counts how many distinct holders were marked within a window, in eighths of it. Each holder keeps the epoch of
// its last mark, so that it counts once; epoch 0 is never.
type tally struct {
	width int64
	at    int64
	epoch uint32
	n     [epochs]uint32
}

func newTally(window int64) tally { return tally{width: (window + 7) / 8, epoch: epochs} }

func (t *tally) tick(now int64) {
	at := now / t.width
	if at == t.at {
		return
	}
	steps := at - t.at
	if steps < 0 || steps > epochs {
		steps = epochs
	}
	t.at = at
	for range steps {
		t.epoch++
		t.n[t.epoch%epochs] = 0
	}
}

// mark counts the holder of last as of now.
func (t *tally) mark(last *uint32, now int64) {
	t.tick(now)
	if *last == t.epoch {
		return
	}
	t.drop(*last)
	*last = t.epoch
	t.n[t.epoch%epochs]++
}

// drop forgets a holder.
func (t *tally) drop(last uint32) {
	if last != 0 && t.epoch-last < epochs && t.n[last%epochs] > 0 {
		t.n[last%epochs]--
	}
}

func (t *tally) sum() int {
	s := uint32(0)
	for i := range uint32(current) {
		s += t.n[(t.epoch-i)%epochs]
	}
	return int(s)
}

// clear begins anew: holders' epochs are out of reach.
func (t *tally) clear() {
	t.epoch += epochs
	t.n = [epochs]uint32{}
}
