package journal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Reader follows the journal from a number on: batches as they were appended, and never anything behind the last side
// record. It belongs to one goroutine. It checks each batch against its side record's checksum.
type Reader struct {
	dir  string
	j    *Journal // nil where another process writes
	wake chan struct{}

	seq         uint64 // number of the next event to give
	first       uint64 // that names the open segment, 0 where none is
	lines, side *os.File
	idx         int64 // next side record of it
	window      []byte
	windowAt    int64 // offset of window in the side file
	buf         []byte
	closed      bool
}

// Chunk is what Next gives: a gap or events, or both, the gap before the events.
type Chunk struct {
	Gap       Gap
	First     uint64 // number of the first event; those behind it follow without a gap
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

// Why a gap is there.
const (
	GapExpired = "expired"                                 // retention removed the segment
	GapLost    = "lost"                                    // recovery could not save them
	GapLines   = "lines do not match their side record"    // damage
	GapSide    = "side record cannot be read"              // damage
	GapMissing = "segment or its side records are missing" // damage
)

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

// Reader reads this journal from the event with the number from on; 0 is the oldest.
func (j *Journal) Reader(from uint64) *Reader {
	r := &Reader{dir: j.o.Dir, j: j, wake: make(chan struct{}, 1), seq: max(from, 1)}
	if from == 0 {
		r.seq = j.Oldest()
	}
	for {
		old := j.waiters.Load()
		ws := []chan struct{}{r.wake}
		if old != nil {
			ws = append(slices.Clone(*old), r.wake)
		}
		if j.waiters.CompareAndSwap(old, &ws) {
			return r
		}
	}
}

// OpenReader reads a journal that another process may be writing, without its lock.
func OpenReader(dir string, from uint64) (*Reader, error) {
	l, err := list(dir)
	if err != nil {
		return nil, err
	}
	l.trim()
	if len(l.segments) == 0 {
		return nil, &ForeignError{dir, "holds no journal"}
	}
	r := &Reader{dir: dir, seq: max(from, 1)}
	if from == 0 {
		r.seq = l.segments[0]
	}
	return r, nil
}

// trim takes away the oldest segments that retention is about to remove.
func (l *listing) trim() {
	for len(l.segments) > 1 && !l.lines[l.segments[0]] {
		l.segments = l.segments[1:]
	}
}

// Seq is the number of the event that Next begins with.
func (r *Reader) Seq() uint64 { return r.seq }

// Next fills c with the next events or the next gap, and says false where there is nothing new. It gives at most one
// batch. What is damaged becomes a gap; an error is a failure to read, and the call can be repeated.
func (r *Reader) Next(c *Chunk) (bool, error) {
	*c = Chunk{First: r.seq}
	if r.closed {
		return false, ErrClosed
	}
	limit := uint64(maxNumber)
	if r.j != nil {
		if limit = r.j.next.Load(); r.seq >= limit {
			return false, nil
		}
	}
	if r.first == 0 {
		if ok, err := r.open(c); !ok || c.Gap.Count() > 0 {
			return ok, err
		}
	}
	why := GapLost
	for {
		var s Side
		st, err := r.record(&s)
		switch {
		case err != nil:
			return false, err
		case st == recordBad:
			why = GapSide
			r.idx++
			continue
		case st == recordNone:
			moved, err := r.move(c)
			if err != nil || !moved || c.Gap.Count() > 0 {
				return moved, err
			}
			continue
		}
		if s.Next() > limit {
			return false, nil
		}
		if s.Next() <= r.seq {
			r.idx++
			continue
		}
		if s.First > r.seq {
			return r.gap(c, s.First, why), nil
		}
		if behind := s.First + uint64(s.Events); r.seq >= behind {
			return r.gap(c, s.Next(), why), nil
		}
		return r.give(c, &s)
	}
}

func (r *Reader) gap(c *Chunk, to uint64, why string) bool {
	c.Gap = Gap{From: r.seq, To: to, Why: why}
	c.First, r.seq = to, to
	return true
}

// give reads the lines of s from r.seq on.
func (r *Reader) give(c *Chunk, s *Side) (bool, error) {
	r.buf = slices.Grow(r.buf[:0], int(s.Length))[:s.Length]
	_, err := r.lines.ReadAt(r.buf, s.Offset)
	if err != nil && err != io.EOF {
		return false, &WriteError{"read", r.lines.Name(), err}
	}
	if err == io.EOF || checksum(r.buf) != s.sum || bytes.Count(r.buf, newline) != int(s.Events) {
		return r.gap(c, s.First+uint64(s.Events), GapLines), nil
	}
	c.Lines, c.FirstTime, c.LastTime = r.buf, s.FirstTime, s.LastTime
	for n := s.First; n < r.seq; n++ {
		c.Lines = c.Lines[bytes.IndexByte(c.Lines, '\n')+1:]
	}
	c.Events = int(s.First + uint64(s.Events) - r.seq)
	r.seq += uint64(c.Events)
	if s.Missing == 0 {
		r.idx++
	}
	return true, nil
}

// open opens the segment that holds r.seq and finds the record. False: there is none yet.
func (r *Reader) open(c *Chunk) (bool, error) {
	segments, err := r.segments()
	if err != nil || len(segments) == 0 {
		return false, err
	}
	if segments[0] > r.seq {
		return r.gap(c, segments[0], GapExpired), nil
	}
	i, found := slices.BinarySearch(segments, r.seq)
	if !found {
		i--
	}
	if ok, err := r.enter(segments[i]); !ok {
		return ok, err
	}
	r.idx, err = r.find(func(s *Side) bool { return s.Next() > r.seq })
	return err == nil, err
}

func (r *Reader) segments() ([]uint64, error) {
	l, err := list(r.dir)
	if err != nil {
		return nil, err
	}
	l.trim()
	return l.segments, nil
}

// enter opens a segment's files. False: they went away meanwhile, or are not there yet.
func (r *Reader) enter(first uint64) (bool, error) {
	side, err := os.Open(fileName(r.dir, first, extSide))
	if err != nil {
		if notExist(err) {
			return false, nil
		}
		return false, &WriteError{"open", fileName(r.dir, first, extSide), err}
	}
	lines, err := os.Open(fileName(r.dir, first, extLines))
	if notExist(err) {
		lines, err = os.Open(os.DevNull) // the side file tells which events are missing
	}
	if err != nil {
		_ = side.Close() // only read
		return false, &WriteError{"open", fileName(r.dir, first, extLines), err}
	}
	r.leave()
	r.first, r.lines, r.side, r.idx, r.window, r.windowAt = first, lines, side, 0, r.window[:0], 0
	return true, nil
}

func (r *Reader) leave() {
	if r.first != 0 {
		_ = r.lines.Close() // only read
		_ = r.side.Close()
	}
	r.first = 0
}

// move goes to the successor of a segment that has been read to its end, once that has its first record: from then on
// the writer does not come back. False: the segment is still the newest.
func (r *Reader) move(c *Chunk) (bool, error) {
	segments, err := r.segments()
	if err != nil {
		return false, err
	}
	i, found := slices.BinarySearch(segments, r.first)
	gone := !found
	if found {
		i++
	}
	if i == len(segments) {
		return false, nil
	}
	if ok, err := begun(fileName(r.dir, segments[i], extSide)); !ok {
		return false, err
	}
	var s Side
	if st, err := r.record(&s); err != nil || st != recordNone {
		return err == nil, err // something came before the writer moved on
	}
	if ok, err := r.enter(segments[i]); !ok {
		return false, err
	}
	if segments[i] > r.seq {
		why := GapMissing
		if gone {
			why = GapExpired
		}
		r.gap(c, segments[i], why)
	}
	return true, nil
}

// begun says whether a side file holds a record that can be read.
func begun(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		if notExist(err) {
			return false, nil
		}
		return false, &WriteError{"open", path, err}
	}
	defer f.Close()
	b := make([]byte, 64*sideSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return false, &WriteError{"read", path, err}
	}
	return decodeAll(b[:n]).last >= 0, nil
}

const pollEvery = 50 * time.Millisecond

// Wait returns when there may be something new, or with ctx's error. In the writer's process it is told; elsewhere it
// looks every 50 ms.
func (r *Reader) Wait(ctx context.Context) error {
	if r.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.j != nil {
		if r.seq < r.j.next.Load() {
			return nil
		}
		select {
		case <-r.wake:
			return nil
		case <-r.j.stop:
			return fmt.Errorf("reader: %w", ErrClosed)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t := time.NewTimer(pollEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close lets go of the files.
func (r *Reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.leave()
	for r.j != nil {
		old := r.j.waiters.Load()
		ws := slices.DeleteFunc(slices.Clone(*old), func(c chan struct{}) bool { return c == r.wake })
		if r.j.waiters.CompareAndSwap(old, &ws) {
			break
		}
	}
	return nil
}
