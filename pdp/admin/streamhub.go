package admin

import (
	"context"
	"sync"
	"time"
)

// Bounds of the stream.
const (
	hubBytes   = 8 << 20               // of the newest events, kept for all clients together
	hubBlock   = 64 << 10              // bytes in a row after which another block begins
	hubRead    = 1 << 20               // bytes after which clients get their turn
	hubPause   = 10 * time.Millisecond // between two looks at the journal: what comes meanwhile wakes clients once
	maxStreams = 4096
	takeBytes  = 256 << 10 // that a client takes at once
)

// hub reads the journal once for all clients: their memory is the newest events, shared. Where a client stands is its
// own number; one that falls behind what is kept is told how much it missed. It reads while there are clients.
type hub struct {
	log  EventLog
	fail func(error)
	done context.Context
	stop context.CancelFunc

	mu      sync.Mutex
	clients int
	blocks  []*frames // in a row
	bytes   int
	head    uint64        // number behind the last
	news    chan struct{} // closed when head moves
	ended   chan struct{} // closed when the reading goroutine has ended; nil: none runs
	quit    context.CancelFunc
}

func newHub(log EventLog, fail func(error)) *hub {
	h := &hub{log: log, fail: fail, news: make(chan struct{})}
	h.done, h.stop = context.WithCancel(context.Background())
	return h
}

// close ends every stream.
func (h *hub) close() {
	h.stop()
	h.mu.Lock()
	ended := h.ended
	h.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// join adds a client and gives the number from which it hears what is new; false where there are too many, or the
// server ends.
func (h *hub) join() (uint64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients >= maxStreams || h.done.Err() != nil {
		return 0, false
	}
	h.clients++
	if h.ended == nil {
		h.head, h.blocks, h.bytes = max(h.log.Next(), 1), nil, 0
		h.ended = make(chan struct{})
		ctx, cancel := context.WithCancel(h.done)
		h.quit = cancel
		go h.run(ctx, h.head, h.ended)
	}
	return h.head, true
}

// leave takes a client out; with the last one reading ends.
func (h *hub) leave() {
	h.mu.Lock()
	h.clients--
	ended, quit := h.ended, h.quit
	if h.clients > 0 {
		h.mu.Unlock()
		return
	}
	h.ended = nil
	quit() // before anybody else may join: what it still reads is not put
	h.mu.Unlock()
	<-ended
}

// run reads from a number on until ctx ends.
func (h *hub) run(ctx context.Context, from uint64, ended chan struct{}) {
	defer close(ended)
	r := h.log.Follow(from)
	defer r.Close()
	var names interned
	t := time.NewTimer(0)
	defer t.Stop()
	for ctx.Err() == nil {
		read, err := h.read(ctx, r, &names)
		if err != nil {
			h.fail(err)
			t.Reset(time.Second)
		} else if read {
			t.Reset(hubPause)
		} else if r.Wait(ctx) == nil {
			continue
		}
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
}

// read takes what there is, then tells clients.
func (h *hub) read(ctx context.Context, r EventReader, names *interned) (any bool, err error) {
	var c EventChunk
	for n := 0; n < hubRead && ctx.Err() == nil; {
		more, e := r.Next(&c)
		if !more || e != nil {
			err = e
			break
		}
		any = true
		h.take(ctx, &c, names)
		for i := range c.Events {
			n += len(c.Events[i].Line)
		}
	}
	if any {
		h.mu.Lock()
		close(h.news)
		h.news = make(chan struct{})
		h.mu.Unlock()
	}
	return any, err
}

// take adds a chunk. Clients share what is in a block and never change; one that is full is no longer written.
func (h *hub) take(ctx context.Context, c *EventChunk, names *interned) {
	f := &frames{first: c.First, next: c.First}
	for i := range c.Events {
		if len(f.bytes) >= hubBlock {
			h.put(ctx, f)
			f = &frames{first: f.next, next: f.next}
		}
		f.add(&c.Events[i], names)
	}
	if c.Missed > 0 { // the journal's own gap: told to all as the number that moves on
		f.next += c.Missed
	}
	h.put(ctx, f)
}

func (h *hub) put(ctx context.Context, f *frames) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	h.blocks = append(h.blocks, f)
	h.bytes += len(f.bytes)
	h.head = f.next
	drop := 0
	for h.bytes > hubBytes && drop < len(h.blocks)-1 {
		h.bytes -= len(h.blocks[drop].bytes)
		drop++
	}
	if drop > 0 {
		clear(h.blocks[:drop])
		h.blocks = h.blocks[drop:]
	}
}

// from gives blocks from a number on. missed is how many before them are kept no more; where there is nothing yet, news
// is closed when there is.
func (h *hub) from(number uint64, dst []*frames) (out []*frames, missed uint64, news <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out = dst[:0]
	if number >= h.head {
		return out, 0, h.news
	}
	lo, hi := 0, len(h.blocks)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); h.blocks[m].next <= number {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(h.blocks) && h.blocks[lo].first > number {
		missed = h.blocks[lo].first - number
	}
	for n := 0; lo < len(h.blocks) && n < takeBytes; lo++ {
		out = append(out, h.blocks[lo])
		n += len(h.blocks[lo].bytes)
	}
	return out, missed, nil
}
