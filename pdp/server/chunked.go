package server

import (
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// chunked keeps the headers of proxies' calls that do not say how long their body is, while it is read: one that turns out
// to be too long is a decision all the same, and fasthttp has forgotten by then what it was about. Other requests cost it a
// load. A header is known by where it is: a connection has one at a time.
type chunked struct {
	n  atomic.Int64
	mu sync.Mutex
	of map[*fasthttp.RequestHeader]*fasthttp.RequestHeader
}

// keep copies a header.
func (c *chunked) keep(h *fasthttp.RequestHeader) {
	kept := new(fasthttp.RequestHeader)
	h.CopyTo(kept)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[*fasthttp.RequestHeader]*fasthttp.RequestHeader{}
	}
	c.of[h] = kept
	c.n.Store(int64(len(c.of)))
}

// take gives the copy, if there is one, and forgets it.
func (c *chunked) take(h *fasthttp.RequestHeader) *fasthttp.RequestHeader {
	if c.n.Load() == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.of[h]
	delete(c.of, h)
	c.n.Store(int64(len(c.of)))
	return kept
}
