package admin

import (
	"context"
	"net/http"
	"time"
)

const (
	keepAlive   = 15 * time.Second
	writeWithin = 30 * time.Second // one write; a client that takes nothing for so long is let go
	maxEventID  = 256
)

const whySlow = "the client read too slowly; what it missed is in the journal"

func (s *Server) mountStream() {
	s.stream = newHub(s.o.Events, func(err error) { s.o.Log.Warn("event stream", err) })
	s.routes.add(http.MethodGet, "/v1/events/stream", s.events)
}

// events is GET /v1/events/stream: Server-Sent Events as the HTML standard has them.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q := readQuery(r)
	which, wrong := parseTypes(q.values["types"])
	last := r.Header.Get("Last-Event-Id")
	if wrong != "" {
		q.fail("types", wrong)
	}
	if len(last) > maxEventID {
		q.fail("Last-Event-ID", "expected up to 256 bytes")
	}
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	next, ok := s.stream.join()
	if !ok {
		w.Header().Set("Retry-After", "5")
		Fail(w, http.StatusServiceUnavailable, "too many streams are open")
		return
	}
	defer s.stream.leave()
	c := &streamClient{hub: s.stream, which: which, next: next, w: w, rc: http.NewResponseController(w)}
	_ = c.rc.SetReadDeadline(time.Time{}) // the request is read; its deadline would end the stream
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // or a proxy keeps events back
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.stream.done, cancel)()
	if s.o.Tokens != nil {
		defer s.o.Tokens.hold(r.Header.Get("Authorization"), cancel)() // a token that is taken back ends its streams
	}
	c.buf = append(c.buf, ":\n\n"...) // so that the client knows at once that it is heard
	if last == "" || c.resume(ctx, last) {
		c.live(ctx)
	}
}

// streamClient is one client; everything in it belongs to its handler.
type streamClient struct {
	hub   *hub
	which *typeFilter
	next  uint64 // number of the event that comes next
	w     http.ResponseWriter
	rc    *http.ResponseController
	buf   []byte
	taken []*frames
	names interned
}

// flush sends what is in the buffer; false where the client is gone.
func (c *streamClient) flush() bool {
	if len(c.buf) == 0 {
		return true
	}
	_ = c.rc.SetWriteDeadline(time.Now().Add(writeWithin))
	_, err := c.w.Write(c.buf)
	c.buf = c.buf[:0]
	if cap(c.buf) > 2*takeBytes {
		c.buf = nil
	}
	return err == nil && c.rc.Flush() == nil
}

// live sends what the hub has, and waits for more.
func (c *streamClient) live(ctx context.Context) {
	t := time.NewTicker(keepAlive)
	defer t.Stop()
	for ctx.Err() == nil {
		var missed uint64
		var news <-chan struct{}
		c.taken, missed, news = c.hub.from(c.next, c.taken)
		if missed > 0 {
			c.buf = appendGap(c.buf, missed, whySlow)
		}
		c.send()
		if !c.flush() {
			return
		}
		if news == nil {
			select {
			case <-t.C:
				c.buf = append(c.buf, ":\n\n"...)
			default:
			}
			continue
		}
		select {
		case <-news:
		case <-t.C:
			c.buf = append(c.buf, ":\n\n"...)
		case <-ctx.Done():
		}
	}
}

// send puts what was taken into the buffer.
func (c *streamClient) send() {
	for i, f := range c.taken {
		c.buf = f.wanted(c.buf, c.next, c.which)
		if held := f.first + uint64(len(f.ends)); f.next > held {
			c.buf = appendGap(c.buf, f.next-max(held, c.next), "the journal does not hold them any more")
		}
		c.next = f.next
		c.taken[i] = nil
	}
}

// resume sends what came behind an event, from the journal, until the client has caught up with the hub; false where it
// is gone.
func (c *streamClient) resume(ctx context.Context, last string) bool {
	number, held, err := c.hub.log.Find(ctx, last)
	if err != nil {
		c.hub.fail(err)
	}
	from := number + 1
	if !held || err != nil {
		c.buf = appendGap(c.buf, 0, "the event of Last-Event-ID is not held; what follows begins with the oldest that is")
		from = 0
	}
	r := c.hub.log.Follow(from)
	defer r.Close()
	t := time.NewTicker(keepAlive)
	defer t.Stop()
	var chunk EventChunk
	for ctx.Err() == nil {
		if c.next = r.Seq(); c.hub.has(c.next) {
			return c.flush()
		}
		more, err := r.Next(&chunk)
		switch {
		case err != nil:
			c.hub.fail(err)
			return c.flush() && false
		case !more:
			// The hub is behind the journal, by as much as it pauses.
			if r.Wait(ctx) != nil {
				return false
			}
			continue
		case chunk.Missed > 0:
			c.buf = appendGap(c.buf, chunk.Missed, chunk.Why)
			continue
		}
		f := frames{first: chunk.First, next: chunk.First}
		for i := range chunk.Events {
			if name := c.names.of(chunk.Events[i].Type); c.which.takes(name) {
				f.add(&chunk.Events[i], &c.names)
			}
		}
		c.buf = append(c.buf, f.bytes...)
		send := len(c.buf) >= takeBytes
		select {
		case <-t.C:
			c.buf, send = append(c.buf, ":\n\n"...), true
		default:
		}
		if send && !c.flush() {
			return false
		}
	}
	return false
}

// has says whether the hub can go on with a number: it holds it, or it is the next that comes.
func (h *hub) has(number uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.blocks) == 0 {
		return number >= h.head
	}
	return number >= h.blocks[0].first
}
