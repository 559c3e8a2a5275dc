package server

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/valyala/fasthttp"

	"thymus/pdp/wire"
)

// meshPrefix is what belongs to the Mesh, of the raw target.
const meshPrefix = "/ext_authz/"

// handle answers one request, and tells the client if it is the connection's last.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	c := owner(ctx.Conn())
	c.word.Store(handling)
	s.route(ctx, c)
	if s.conns.closing.Load() || wantsClose(&ctx.Request.Header) {
		ctx.SetConnectionClose()
	}
}

func (s *Server) route(ctx *fasthttp.RequestCtx, c *conn) {
	path, query := target(ctx.Request.Header.RequestURI())
	defer s.rescue(ctx, path)
	s.chunked.take(&ctx.Request.Header) // the body was read
	if smuggles(&ctx.Request.Header) {
		ctx.SetConnectionClose()
		s.refuse(ctx, path, http.StatusBadRequest, "both content-length and transfer-encoding are set")
		return
	}
	echo(ctx, c)
	switch string(path) {
	case "/healthz", "/health":
		s.live(ctx)
		return
	case "/readyz":
		s.ready(ctx)
		return
	}
	if s.o.Token != nil && !s.o.Token.Right(ctx.Request.Header.PeekCanonical([]byte("Authorization"))) {
		ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
		s.refuse(ctx, path, http.StatusUnauthorized, "a bearer token is expected")
		return
	}
	switch string(path) {
	case "/v1/evaluate":
		if s.only(ctx, path, "POST") {
			s.native(ctx, c)
		}
	case "/v1/evaluate/batch":
		if s.only(ctx, path, "POST") {
			s.nativeBatch(ctx, c)
		}
	case "/access/v1/evaluation":
		if s.only(ctx, path, "POST") {
			s.authzen(ctx, c)
		}
	case "/access/v1/evaluations":
		if s.only(ctx, path, "POST") {
			s.authzenBatch(ctx, c)
		}
	case "/.well-known/authzen-configuration":
		if s.reads(ctx, path) {
			s.metadata(ctx)
		}
	default:
		switch {
		case isMesh(path):
			s.mesh(ctx, c)
		case isData(path):
			s.data(ctx, c, path, query)
		default:
			s.refuse(ctx, path, http.StatusNotFound, "there is nothing at this path")
		}
	}
}

func isMesh(path []byte) bool {
	return len(path) >= len(meshPrefix) && string(path[:len(meshPrefix)]) == meshPrefix
}

func isData(path []byte) bool {
	return len(path) >= len(dataPath) && string(path[:len(dataPath)]) == dataPath &&
		(len(path) == len(dataPath) || path[len(dataPath)] == '/')
}

// target parts a raw request target (RFC 9112, 3.2) into path and query. Of an absolute one the path counts; what has
// none, and is not the authority of a CONNECT, has "/".
func target(t []byte) (path, query []byte) {
	if len(t) > 0 && t[0] != '/' && t[0] != '*' {
		_, rest, ok := bytes.Cut(t, []byte("://"))
		if !ok {
			return nil, nil
		}
		if i := bytes.IndexAny(rest, "/?"); i < 0 {
			return []byte{'/'}, nil
		} else if rest[i] == '?' {
			return []byte{'/'}, rest[i+1:]
		} else {
			t = rest[i:]
		}
	}
	path, query, _ = bytes.Cut(t, []byte{'?'})
	return path, query
}

// only lets one method pass.
func (s *Server) only(ctx *fasthttp.RequestCtx, path []byte, method string) bool {
	if string(ctx.Method()) == method {
		return true
	}
	s.notAllowed(ctx, path, method)
	return false
}

// reads lets GET pass, and HEAD, which fasthttp answers without the body.
func (s *Server) reads(ctx *fasthttp.RequestCtx, path []byte) bool {
	if ctx.IsGet() || ctx.IsHead() {
		return true
	}
	s.notAllowed(ctx, path, "GET, HEAD")
	return false
}

func (s *Server) notAllowed(ctx *fasthttp.RequestCtx, path []byte, allow string) {
	ctx.Response.Header.Set("Allow", allow)
	s.refuse(ctx, path, http.StatusMethodNotAllowed, "expected one of "+allow)
}

// mesh hands a proxy's call over.
func (s *Server) mesh(ctx *fasthttp.RequestCtx, c *conn) {
	if s.o.Mesh == nil {
		s.refuse(ctx, []byte(meshPrefix), http.StatusForbidden, "no proxy surface is configured")
		return
	}
	s.o.Mesh.Serve(ctx, &c.peer)
}

// wantsClose says whether the client ends the connection; fasthttp itself knows only "close" in lower case and alone.
func wantsClose(h *fasthttp.RequestHeader) bool {
	v := h.PeekCanonical([]byte("Connection"))
	return len(v) >= len("close") && hasToken(v, "close")
}

// smuggles says whether a request carries both ways of saying where its body ends (RFC 9112, 6.3): fasthttp follows the
// chunks, and somebody before us may have followed the length. fasthttp counts -1 for chunks, and 0 where they were
// empty.
func smuggles(h *fasthttp.RequestHeader) bool {
	if n := h.ContentLength(); n != -1 && n != 0 {
		return false
	}
	length, encoding := false, false
	for line := range bytes.Lines(h.RawHeaders()) {
		name, _, _ := bytes.Cut(line, []byte{':'})
		length = length || equalFold(name, "content-length")
		encoding = encoding || equalFold(name, "transfer-encoding")
	}
	return length && encoding
}

// rescue answers a request that ended in a panic, and says so.
func (s *Server) rescue(ctx *fasthttp.RequestCtx, path []byte) {
	r := recover()
	if r == nil {
		return
	}
	s.stats.panics.Add(1)
	s.o.Log.Warn("request ended in a panic", fmt.Errorf("%v\n%s", r, debug.Stack()))
	ctx.SetConnectionClose()
	s.refuse(ctx, path, http.StatusInternalServerError, "the request could not be answered")
}

// refuse answers with an error in the shape of the surface that the path belongs to.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, path []byte, status int, detail string) {
	switch {
	case isMesh(path):
		s.problem(ctx, wire.StatusProblem(http.StatusForbidden, detail))
	case isData(path):
		s.dataError(ctx, status, dataCode(status), detail)
	default:
		s.problem(ctx, wire.StatusProblem(status, detail))
	}
}
