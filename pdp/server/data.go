package server

import (
	"errors"
	"net/http"

	"github.com/valyala/fasthttp"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// dataPath is where OPA's Data API lies.
const dataPath = "/v1/data"

// OPA's codes that wire has no name for, because they answer HTTP and not a call.
const (
	codeNotAllowed = "method_not_allowed"
	codeForbidden  = "forbidden"
)

func dataCode(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return wire.CodeUnauthorized
	case http.StatusForbidden:
		return codeForbidden
	case http.StatusNotFound:
		return wire.CodeNotFound
	case http.StatusMethodNotAllowed:
		return codeNotAllowed
	}
	if status < http.StatusInternalServerError {
		return wire.CodeInvalidParameter
	}
	return wire.CodeInternal
}

func (s *Server) dataError(ctx *fasthttp.RequestCtx, status int, code, message string) {
	send(ctx, status, typeJSON, wire.AppendDataError(body(ctx), code, message))
}

// data answers GET and POST of /v1/data/PATH.
func (s *Server) data(ctx *fasthttp.RequestCtx, c *conn, path, query []byte) {
	start := ctx.Time()
	post := string(ctx.Method()) == "POST"
	if !post && !ctx.IsGet() && !ctx.IsHead() {
		s.notAllowed(ctx, path, "GET, HEAD, POST")
		return
	}
	t := s.turn()
	defer s.done(t, pdp.SurfaceOPA, start)
	switch err := t.data.parse(path[len(dataPath):]); err {
	case nil:
	case errEncoding:
		s.refuse(ctx, path, http.StatusBadRequest, err.Error())
		return
	default:
		s.refuse(ctx, path, http.StatusNotFound, err.Error())
		return
	}
	if !s.globs.allow(t.data.path) {
		s.refuse(ctx, path, http.StatusForbidden, "data.opa.paths does not let this document be read")
		return
	}
	p, ok := t.data.params(query)
	if !ok {
		s.dataError(ctx, http.StatusBadRequest, wire.CodeInvalidParameter, "query: expected percent-encoded parameters")
		return
	}
	call, err := s.o.Engine.Begin(1)
	if err != nil {
		s.dataError(ctx, http.StatusServiceUnavailable, wire.CodeInternal, err.Error())
		return
	}
	defer call.End()
	call.Req.Correlation = correlation(ctx, c)
	if !s.dataInput(ctx, t, post, p, &call.Req) {
		return
	}
	call.Req.Action = t.data.action
	r, d, err := call.Query(t.data.path, p.strict)
	if err != nil {
		s.dataError(ctx, http.StatusServiceUnavailable, wire.CodeInternal, wire.RecordProblem().Detail)
		return
	}
	if len(r.Faults) > 0 {
		f := &r.Faults[0]
		send(ctx, http.StatusInternalServerError, typeJSON, wire.AppendDataFault(body(ctx), f.Code, r.Out.Str(f.Msg)))
		return
	}
	b := wire.AppendData(body(ctx), r, d.ID, post && len(call.Req.Input.Nodes) == 0, p.pretty)
	t.data.sendPacked(ctx, http.StatusOK, b)
}

// dataInput reads the input; false has been answered.
func (s *Server) dataInput(ctx *fasthttp.RequestCtx, t *turn, post bool, p params, req *pdp.Request) bool {
	var de *wire.DataError
	switch {
	case post:
		b := ctx.Request.Body()
		if hasToken(ctx.Request.Header.ContentEncoding(), "gzip") {
			var err error
			if b, err = t.data.unpack(b, s.o.MaxBody); errors.Is(err, errTooLong) {
				s.dataError(ctx, http.StatusRequestEntityTooLarge, wire.CodeInvalidParameter, wire.MsgTooLarge)
				return false
			} else if err != nil {
				s.dataError(ctx, http.StatusBadRequest, wire.CodeInvalidParameter, "body: expected gzip as its content-encoding says")
				return false
			}
		}
		de = t.dec.Data(ctx.Request.Header.ContentType(), b, s.o.OPASubject, req)
	case p.hasInput:
		de = t.dec.DataParam(p.input, s.o.OPASubject, req)
	default:
		t.dec.NoInput(req)
	}
	if de != nil {
		s.dataError(ctx, http.StatusBadRequest, wire.CodeInvalidParameter, de.Message)
		return false
	}
	return true
}
