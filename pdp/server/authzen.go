package server

import (
	"net/http"

	"github.com/valyala/fasthttp"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// authzen answers POST /access/v1/evaluation.
func (s *Server) authzen(ctx *fasthttp.RequestCtx, c *conn) {
	start := ctx.Time()
	if !s.json(ctx) {
		return
	}
	t := s.turn()
	defer s.done(t, pdp.SurfaceAuthZEN, start)
	call := s.begin(ctx, c, 1)
	if call == nil {
		return
	}
	defer call.End()
	if p := t.dec.Evaluation(ctx.Request.Body(), &c.peer, &call.Req); p != nil {
		s.problem(ctx, p)
		return
	}
	d, err := call.Decide()
	if err != nil {
		s.problem(ctx, wire.RecordProblem())
		return
	}
	send(ctx, http.StatusOK, typeJSON, wire.AppendDecision(body(ctx), d, true))
}

// authzenBatch answers POST /access/v1/evaluations.
func (s *Server) authzenBatch(ctx *fasthttp.RequestCtx, c *conn) {
	start := ctx.Time()
	if !s.json(ctx) {
		return
	}
	t := s.turn()
	defer s.done(t, pdp.SurfaceAuthZEN, start)
	var req pdp.Request
	batch, p := t.dec.Evaluations(ctx.Request.Body(), &c.peer, &req)
	if p != nil {
		s.problem(ctx, p)
		return
	}
	call := s.begin(ctx, c, max(batch.Items, 1))
	if call == nil {
		return
	}
	defer call.End()
	if batch.Items == 0 {
		req.Correlation = call.Req.Correlation
		call.Req = req
		d, err := call.Decide()
		if err != nil {
			s.problem(ctx, wire.RecordProblem())
			return
		}
		send(ctx, http.StatusOK, typeJSON, wire.AppendDecision(body(ctx), d, true))
		return
	}
	b := wire.OpenDecisions(body(ctx))
	for i := range batch.Items {
		b = wire.AppendSeparator(b, i)
		allowed := false
		if p := t.dec.EvaluationItem(&call.Req); p != nil {
			b = wire.AppendDecisionError(b, p)
		} else {
			d, err := call.Decide()
			if err != nil {
				ctx.Response.SwapBody(b)
				s.problem(ctx, wire.RecordProblem())
				return
			}
			allowed = d.Allowed
			b = wire.AppendDecision(b, d, batch.Context)
		}
		if batch.Semantic.Ends(allowed) {
			break
		}
	}
	send(ctx, http.StatusOK, typeJSON, wire.CloseDecisions(b))
}

// metadata answers GET /.well-known/authzen-configuration.
func (s *Server) metadata(ctx *fasthttp.RequestCtx) {
	send(ctx, http.StatusOK, typeJSON, wire.AppendMetadata(body(ctx), *s.base.Load()))
}
