package sink

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"thymus/emitter"
)

// batch is some messages of one lane; their bytes lie in one buffer, or where it was when they came.
type batch struct {
	buf   []byte
	msgs  []Message
	since time.Time // when the first came
}

// add copies an event to the batch; h is its line's head.
func (b *batch) add(seq uint64, line []byte, h *emitter.Head) {
	off := len(b.buf)
	b.buf = append(b.buf, line...)
	own := b.buf[off:len(b.buf):len(b.buf)]
	b.msgs = append(b.msgs, Message{Seq: seq, Value: own, Head: h.In(line, own)})
}

// reset forgets what was added, and keeps the memory.
func (b *batch) reset() {
	clear(b.msgs)
	b.buf, b.msgs = b.buf[:0], b.msgs[:0]
}

// lane delivers one partition's events in order: one goroutine, one batch under way. The reader appends to the last
// batch of the queue, so that a lane that waits holds up no other.
type lane struct {
	s    *Shipper
	part int

	mu    sync.Mutex
	queue []*batch
	wake  chan struct{} // there is something to look at
}

// add copies an event to the end of the queue.
func (l *lane) add(seq uint64, line []byte, h *emitter.Head) {
	l.mu.Lock()
	n := len(l.queue)
	tell := n == 0
	if n == 0 || len(l.queue[n-1].buf)+len(line) > l.s.o.MaxBatch {
		b := l.s.batch()
		b.since = time.Now()
		l.queue = append(l.queue, b)
		tell = true
		n++
	}
	l.queue[n-1].add(seq, line, h)
	l.mu.Unlock()
	if tell {
		select {
		case l.wake <- struct{}{}:
		default: // it has been told already
		}
	}
}

// due is the next batch to send, or how long to wait for the one that is being filled; 0 for one that has not begun.
func (l *lane) due(now time.Time) (b *batch, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil, 0
	}
	if b = l.queue[0]; len(l.queue) == 1 {
		if wait = l.s.o.Linger - now.Sub(b.since); wait > 0 {
			return nil, wait
		}
	}
	l.queue[0] = nil
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return b, 0
}

func (l *lane) run(ctx context.Context) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for ctx.Err() == nil {
		b, wait := l.due(time.Now())
		if b != nil {
			if !l.deliver(ctx, b.msgs) {
				return
			}
			l.s.window.give(len(b.buf))
			l.s.recycle(b)
			continue
		}
		if wait == 0 {
			wait = time.Hour
		}
		t.Reset(wait)
		select {
		case <-l.wake:
		case <-t.C:
		case <-ctx.Done():
		}
	}
}

// deliver sends messages until they are settled; false when ctx ended before.
func (l *lane) deliver(ctx context.Context, msgs []Message) bool {
	for tries := 0; len(msgs) > 0; tries++ {
		c, cancel := context.WithTimeout(ctx, l.s.o.Timeout)
		err := l.s.sink.Send(c, l.part, msgs)
		cancel()
		var refused *RefusedError
		switch {
		case err == nil:
			l.s.settled(l.part, msgs, uint64(len(msgs)), 0)
			return true
		case errors.As(err, &refused) && len(msgs) > 1:
			half := len(msgs) / 2 // somewhere among them is what is not taken
			if !l.deliver(ctx, msgs[:half]) {
				return false
			}
			msgs, tries = msgs[half:], -1
			continue
		case errors.As(err, &refused):
			if err = l.s.setAside(&msgs[0], refused.Err); err == nil {
				l.s.settled(l.part, msgs, 0, 1)
				return true
			}
		}
		if ctx.Err() != nil {
			return false
		}
		l.s.trouble(l.part, err)
		if !sleep(ctx, backoff(tries, l.s.o.RetryMin, l.s.o.RetryMax)) {
			return false
		}
	}
	return true
}

// backoff doubles from least to most; half of it is chance, so that many sidecars do not come back at once.
func backoff(tries int, least, most time.Duration) time.Duration {
	d := most
	if tries < 20 {
		d = min(least<<tries, most)
	}
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
