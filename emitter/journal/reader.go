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
	if err := checkVersion(dir, l.segments); err != nil {
		return nil, err
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
