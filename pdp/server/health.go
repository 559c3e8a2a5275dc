package server

import (
	"net/http"

	"github.com/valyala/fasthttp"
)

func (s *Server) live(ctx *fasthttp.RequestCtx) {
	if s.reads(ctx, nil) {
		send(ctx, http.StatusOK, typeJSON, s.o.Health.AppendLive(body(ctx)))
	}
}

func (s *Server) ready(ctx *fasthttp.RequestCtx) {
	if !s.reads(ctx, nil) {
		return
	}
	b, ok := s.o.Health.AppendReady(body(ctx))
	status := http.StatusOK
	if !ok {
		status = http.StatusServiceUnavailable
	}
	send(ctx, status, typeJSON, b)
}

// isHealth says whether a path needs no token.
func isHealth(path []byte) bool {
	switch string(path) {
	case "/healthz", "/health", "/readyz":
		return true
	}
	return false
}
