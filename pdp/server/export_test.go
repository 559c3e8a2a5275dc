package server

import (
	"time"

	"github.com/valyala/fasthttp"
)

// ChunkedForTest is what keeps the headers of calls whose body is being read.
type ChunkedForTest struct{ c chunked }

// Keep keeps a header.
func (c *ChunkedForTest) Keep(h *fasthttp.RequestHeader, old time.Duration) { c.c.keep(h, old) }

// Take takes it back.
func (c *ChunkedForTest) Take(h *fasthttp.RequestHeader) *fasthttp.RequestHeader { return c.c.take(h) }

// Len is how many are kept.
func (c *ChunkedForTest) Len() int { return int(c.c.n.Load()) }
