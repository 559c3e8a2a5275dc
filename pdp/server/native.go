package server

import (
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/internal/metrics"
	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/wire"
)

// turn is what one request borrows.
type turn struct {
	dec  *wire.Decoder
	lane metrics.Lane
	data dataTurn
}

func (s *Server) turn() *turn { return s.turns.Get().(*turn) }

func (s *Server) done(t *turn, f pdp.Surface, start time.Time) {
	t.dec.Release()
	t.data.release()
	s.stats.took(t.lane, f, start)
	s.turns.Put(t)
}

// begin starts a call of n decisions; nil has been answered.
func (s *Server) begin(ctx *fasthttp.RequestCtx, c *conn, n int) *engine.Call {
	call, err := s.o.Engine.Begin(n)
	if err != nil {
		s.problem(ctx, wire.StatusProblem(http.StatusServiceUnavailable, err.Error()))
		return nil
	}
	call.Req.Correlation = correlation(ctx, c)
	return call
}

// json refuses a body that does not claim to be JSON.
func (s *Server) json(ctx *fasthttp.RequestCtx) bool {
	if isJSON(ctx.Request.Header.ContentType()) {
		return true
	}
	s.problem(ctx, wire.ContentTypeProblem())
	return false
}

// native answers POST /v1/evaluate.
func (s *Server) native(ctx *fasthttp.RequestCtx, c *conn) {
	start := ctx.Time() // fasthttp's own, of a moment ago
	if !s.json(ctx) {
		return
	}
	t := s.turn()
	defer s.done(t, pdp.SurfaceNative, start)
	call := s.begin(ctx, c, 1)
	if call == nil {
		return
	}
	defer call.End()
	if p := t.dec.Native(ctx.Request.Body(), pdp.SurfaceNative, &c.peer, &call.Req); p != nil {
		s.problem(ctx, p)
		return
	}
	d, err := call.Decide()
	if err != nil {
		s.problem(ctx, wire.RecordProblem())
		return
	}
	send(ctx, http.StatusOK, typeJSON, wire.AppendResult(body(ctx), d))
}

// nativeBatch answers POST /v1/evaluate/batch.
func (s *Server) nativeBatch(ctx *fasthttp.RequestCtx, c *conn) {
	start := ctx.Time() // fasthttp's own, of a moment ago
	if !s.json(ctx) {
		return
	}
	t := s.turn()
	defer s.done(t, pdp.SurfaceNative, start)
	n, p := t.dec.NativeBatch(ctx.Request.Body(), pdp.SurfaceNative, &c.peer)
	if p != nil {
		s.problem(ctx, p)
		return
	}
	call := s.begin(ctx, c, n)
	if call == nil {
		return
	}
	defer call.End()
	b := wire.OpenResults(body(ctx))
	for i := range n {
		b = wire.AppendSeparator(b, i)
		if p := t.dec.NativeItem(&call.Req); p != nil {
			b = wire.AppendErrorItem(b, p)
			continue
		}
		d, err := call.Decide()
		if err != nil {
			ctx.Response.SwapBody(b)
			s.problem(ctx, wire.RecordProblem())
			return
		}
		b = wire.AppendResult(b, d)
	}
	send(ctx, http.StatusOK, typeJSON, wire.CloseResults(b))
}
