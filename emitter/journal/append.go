package journal

import (
	"bytes"
	"fmt"
	"os"
)

// Append makes b part of the journal: its lines, then its side record. When it returns nil, readers see the batch and
// Last covers it. On an error nothing has changed, and the same batch can be appended again as soon as its cause is
// gone: *WriteError (ErrFull for want of space), *LimitError (ErrFull), *BatchError (never succeeds), ErrClosed.
//
// A batch without lines moves the ring's position and the totals. One goroutine calls Append; it does not allocate.
func (j *Journal) Append(b *Batch) error {
	if err := b.check(); err != nil {
		return err
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.closed {
		return ErrClosed
	}
	if err := j.room(int64(len(b.Lines)) + sideSize); err != nil {
		return err
	}
	if j.dirty {
		if err := j.withdraw(); err != nil {
			return err
		}
	}
	if j.rolling || j.full(len(b.Lines)) {
		if err := j.roll(); err != nil {
			return err
		}
	}
	s := j.follow(b)
	if err := j.write(&s, b.Lines); err != nil {
		j.dirty = true
		_ = j.withdraw() // tried again before the next append
		return err
	}
	j.last = s
	j.seg.records++
	j.publish()
	return nil
}

// full says whether n bytes more would make the segment too long. A segment holds at least one number, so that no two
// bear one name.
func (j *Journal) full(n int) bool {
	end := j.last.End()
	return end > 0 && end+int64(n) > j.o.SegmentSize && j.last.Next() > j.seg.first
}

func (b *Batch) check() error {
	switch {
	case len(b.Lines) > MaxBatch:
		return &BatchError{fmt.Sprintf("%d bytes of lines, at most %d", len(b.Lines), MaxBatch)}
	case len(b.Lines) > 0 && b.Lines[len(b.Lines)-1] != '\n':
		return &BatchError{"the last line does not end"}
	}
	if n := bytes.Count(b.Lines, newline); n != b.Events {
		return &BatchError{fmt.Sprintf("%d lines, but %d events announced", n, b.Events)}
	}
	return nil
}

// follow is the side record of b behind the last one, but for checksum and head.
func (j *Journal) follow(b *Batch) Side {
	s := j.last
	s.Kind = KindBatch
	s.Offset, s.Length = j.last.End(), uint32(len(b.Lines))
	s.First, s.Events, s.Missing = j.last.Next(), uint32(b.Events), 0
	s.FirstTime, s.LastTime = b.First, b.Last
	s.High = max(s.High, b.First, b.Last)
	s.RingEpoch, s.RingEnd, s.Marks = b.RingEpoch, b.RingEnd, b.Marks
	for i, n := range b.Counts {
		s.Pumped[i] += n
	}
	return s
}

// chain completes s: checksum of the lines, head behind prev, and the encoded record in rec.
func (j *Journal) chain(s *Side, lines []byte) {
	s.sum = checksum(lines)
	s.put(&j.rec)
	if !j.o.noDigest {
		j.head = s.Head // in the journal's memory: what goes through the interface would be allocated
		j.hash.Reset()
		j.hash.Write(j.head[:])
		j.hash.Write(j.rec[:sideHashed])
		j.hash.Write(lines)
		j.hash.Sum(j.head[:0])
		s.Head = j.head
	}
	s.seal(&j.rec)
}

// write puts the lines and then the record where the last good ones end, so that trying again overwrites.
func (j *Journal) write(s *Side, lines []byte) error {
	j.chain(s, lines)
	if j.o.sideFirst {
		if err := j.put(j.seg.side, j.rec[:], j.seg.sideEnd()); err != nil {
			return err
		}
	}
	if len(lines) > 0 {
		if err := j.put(j.seg.lines, lines, s.Offset); err != nil {
			return err
		}
		if j.o.Fsync == FsyncAlways {
			if err := j.sync(j.seg.lines); err != nil {
				return err
			}
		}
	}
	if err := j.put(j.seg.side, j.rec[:], j.seg.sideEnd()); err != nil {
		return err
	}
	if j.o.Fsync == FsyncAlways {
		return j.sync(j.seg.side)
	}
	return nil
}

func (j *Journal) put(f *os.File, p []byte, off int64) error {
	n, err := j.o.WriteAt(f, p, off)
	if err == nil && n < len(p) {
		err = fmt.Errorf("%d of %d bytes written", n, len(p))
	}
	if err != nil {
		return &WriteError{"write", f.Name(), err}
	}
	return nil
}

func (j *Journal) sync(f *os.File) error {
	err := f.Sync()
	j.noteSync(err)
	if err != nil {
		return &WriteError{"sync", f.Name(), err}
	}
	return nil
}

// withdraw cuts what a failed append left behind the last side record. The side file goes first: a record must never
// outlive its lines.
func (j *Journal) withdraw() error {
	if err := j.seg.side.Truncate(j.seg.sideEnd()); err != nil {
		return &WriteError{"truncate", j.seg.side.Name(), err}
	}
	if err := j.seg.lines.Truncate(j.last.End()); err != nil {
		return &WriteError{"truncate", j.seg.lines.Name(), err}
	}
	j.dirty = false
	return nil
}

// publish lets readers see the last side record and wakes those that wait.
func (j *Journal) publish() {
	j.mu.Lock()
	cur := &j.segs[len(j.segs)-1]
	size := j.last.End() + j.seg.sideEnd()
	j.held += size - cur.bytes
	cur.bytes, cur.next, cur.high = size, j.last.Next(), j.last.High
	j.published, j.publSeg, j.publIdx = j.last, j.seg.first, j.seg.records
	j.mu.Unlock()
	j.next.Store(j.last.Next())
	j.wake()
}

func (j *Journal) wake() {
	if ws := j.waiters.Load(); ws != nil {
		for _, c := range *ws {
			select {
			case c <- struct{}{}:
			default: // it has been told already
			}
		}
	}
}

var newline = []byte{'\n'}
