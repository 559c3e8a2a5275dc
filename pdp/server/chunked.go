package server

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// chunked keeps the headers of proxies' calls that do not say how long their body is, while it is read: one that turns out
// to be too long is a decision all the same, and fasthttp has forgotten by then what it was about. Other requests cost it a
// load. A header is known by where it is: a connection has one at a time. Of a connection that ends behind its header
// fasthttp says nothing: what such ones leave is forgotten with the next header there, or when it is old.
type chunked struct {
	n     atomic.Int64
	mu    sync.Mutex
	of    map[*fasthttp.RequestHeader]keptHeader
	sweep int // from so many on, old ones are looked for
}

type keptHeader struct {
	h  *fasthttp.RequestHeader
	at time.Time
}

// minSweep is how many headers are kept without a look at their age.
const minSweep = 64

// keep copies a header. Of those kept for longer than old no body is being read any more.
func (c *chunked) keep(h *fasthttp.RequestHeader, old time.Duration) {
	k := keptHeader{new(fasthttp.RequestHeader), time.Now()}
	h.CopyTo(k.h)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[*fasthttp.RequestHeader]keptHeader{}
	}
	if len(c.of) >= max(c.sweep, minSweep) {
		maps.DeleteFunc(c.of, func(_ *fasthttp.RequestHeader, x keptHeader) bool { return k.at.Sub(x.at) > old })
		c.sweep = 2 * len(c.of)
	}
	c.of[h] = k
	c.n.Store(int64(len(c.of)))
}

// take gives the copy, if there is one, and forgets it.
func (c *chunked) take(h *fasthttp.RequestHeader) *fasthttp.RequestHeader {
	if c.n.Load() == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of[h]
	delete(c.of, h)
	c.n.Store(int64(len(c.of)))
	return k.h
}
