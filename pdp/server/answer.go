package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"unsafe"

	"github.com/valyala/fasthttp"

	"thymus/pdp/wire"
)

// Content types of answers.
const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
)

// body is the response's own buffer, empty, to append to; send gives it back.
func body(ctx *fasthttp.RequestCtx) []byte { return ctx.Response.SwapBody(nil)[:0] }

// send answers with what was appended to body.
func send(ctx *fasthttp.RequestCtx, status int, contentType string, b []byte) {
	ctx.Response.SetStatusCode(status)
	ctx.Response.Header.SetContentType(contentType)
	ctx.Response.SwapBody(b)
}

// problem answers with an error in the shape of the native and AuthZEN surfaces.
func (s *Server) problem(ctx *fasthttp.RequestCtx, p *wire.Problem) {
	send(ctx, p.Status, typeProblem, wire.AppendProblem(body(ctx), p))
}

// malformed answers what fasthttp could not read. The request's header is gone by then: its surface is what its first
// bytes looked like.
func (s *Server) malformed(ctx *fasthttp.RequestCtx, err error) {
	status, detail := http.StatusBadRequest, "expected a request by RFC 9112"
	var small *fasthttp.ErrSmallBuffer
	var ne net.Error
	switch {
	case errors.As(err, &small):
		status = http.StatusRequestHeaderFieldsTooLarge
		detail = "the request line and all headers together: expected at most " + strconv.Itoa(s.o.MaxHeader) + " bytes"
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		status = http.StatusRequestEntityTooLarge // detail: below
	case errors.As(err, &ne) && ne.Timeout():
		status, detail = http.StatusRequestTimeout, "the request did not arrive in time"
	case errors.Is(err, io.ErrUnexpectedEOF):
		detail = "the request ends before its body does"
	}
	if h := s.chunked.take(&ctx.Request.Header); h != nil && status == http.StatusRequestEntityTooLarge {
		s.tooLargeCall(h)
	}
	hint := ""
	if c := owner(ctx.Conn()); c != nil {
		c.linger, hint = true, c.hint
	}
	if status == http.StatusRequestEntityTooLarge {
		detail = s.tooLarge(hint == meshPrefix)
	}
	if hint == meshPrefix && status == http.StatusRequestHeaderFieldsTooLarge {
		hint = "" // the one refusal that a proxy sees as it is
	}
	s.refuse(ctx, []byte(hint), status, detail)
}

// tooLarge says which limit a body is beyond: a proxy's calls have their own.
func (s *Server) tooLarge(mesh bool) string {
	if mesh && s.o.Mesh != nil {
		return "the call is larger than extauthz.max_body"
	}
	return "body: expected at most " + strconv.Itoa(s.o.MaxBody) + " bytes"
}

// received says how much of a request's body is read.
func (s *Server) received(h *fasthttp.RequestHeader) (c fasthttp.RequestConfig) {
	if s.o.Mesh != nil {
		s.chunked.take(h) // of a connection that ended
		if path, _ := target(h.RequestURI()); isMesh(path) {
			c.MaxRequestBodySize = max(s.o.Mesh.MaxBody(), s.o.MaxBody)
			switch n := h.ContentLength(); {
			case n > c.MaxRequestBodySize:
				s.tooLargeCall(h)
			case n == -1:
				s.chunked.keep(h, 2*s.o.ReadTimeout)
			}
		}
	}
	return c
}

// tooLargeCall tells of a proxy's call whose body is not read, or not to its end.
func (s *Server) tooLargeCall(h *fasthttp.RequestHeader) {
	if s.o.Token == nil || s.o.Token.Right(h.PeekCanonical([]byte("Authorization"))) {
		s.o.Mesh.TooLarge(h)
	}
}

// expect answers a client that asks before it sends its body (RFC 9110, 10.1.1).
func (s *Server) expect(ctx *fasthttp.RequestCtx) int {
	path, _ := target(ctx.Request.Header.RequestURI())
	limit := s.o.MaxBody
	if s.o.Mesh != nil && isMesh(path) {
		limit = max(s.o.Mesh.MaxBody(), limit)
	}
	status := http.StatusContinue
	switch {
	case ctx.Request.Header.ContentLength() > limit:
		status = http.StatusRequestEntityTooLarge
		s.refuse(ctx, path, status, s.tooLarge(isMesh(path)))
	case s.o.Token != nil && !isHealth(path) && !s.o.Token.Right(ctx.Request.Header.Peek("Authorization")):
		status = http.StatusUnauthorized
		ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
		s.refuse(ctx, path, status, "a bearer token is expected")
	}
	if status != http.StatusContinue && isMesh(path) {
		status = http.StatusForbidden
	}
	return status
}

// echo returns the request's id, and keeps it for the event.
func echo(ctx *fasthttp.RequestCtx, c *conn) {
	if c.id = requestID(&ctx.Request.Header); c.id != nil {
		ctx.Response.Header.SetBytesV("X-Request-ID", c.id)
	}
}

// requestID is the value of X-Request-ID if it is one that can be told again: up to 256 bytes of printable ASCII.
func requestID(h *fasthttp.RequestHeader) []byte {
	id := h.PeekCanonical([]byte("X-Request-Id"))
	if len(id) == 0 || len(id) > maxCorrelation {
		return nil
	}
	for _, b := range id {
		if b < ' ' || b > '~' {
			return nil
		}
	}
	return id
}

// correlation is what the decision's events carry: the request's id, else the trace id of traceparent (W3C Trace
// Context, 3.2). It is lent until the request is answered.
func correlation(ctx *fasthttp.RequestCtx, c *conn) string {
	if c.id != nil {
		return lend(c.id)
	}
	tp := ctx.Request.Header.PeekCanonical([]byte("Traceparent"))
	const length = len("00-") + 32 + len("-") + 16 + len("-00")
	if len(tp) < length || tp[2] != '-' || tp[35] != '-' || tp[52] != '-' || string(tp[:2]) == "ff" ||
		len(tp) > length && (string(tp[:2]) == "00" || tp[length] != '-') {
		return ""
	}
	nonzero := false
	for _, b := range tp[3:35] {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return ""
		}
		nonzero = nonzero || b != '0'
	}
	if !nonzero {
		return ""
	}
	return lend(tp[3:35])
}

// lend is b as a string that shares its memory.
func lend(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// hasToken says whether a comma-separated list has the token, in any case.
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		i := 0
		for i < len(list) && list[i] != ',' {
			i++
		}
		item := list[:i]
		for len(item) > 0 && (item[0] == ' ' || item[0] == '\t') {
			item = item[1:]
		}
		for len(item) > 0 && (item[len(item)-1] == ' ' || item[len(item)-1] == '\t') {
			item = item[:len(item)-1]
		}
		if len(item) == len(token) && equalFold(item, token) {
			return true
		}
		list = list[min(i+1, len(list)):]
	}
	return false
}

// equalFold compares with an ASCII string in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// isJSON says whether a content type is JSON in UTF-8: application/json or one whose name ends in +json, with no other
// charset. None at all is taken for it.
func isJSON(ct []byte) bool {
	if len(ct) == 0 {
		return true
	}
	end := 0
	for end < len(ct) && ct[end] != ';' {
		end++
	}
	name, params := trim(ct[:end]), ct[end:]
	const suffix = "+json"
	const app = "application/"
	switch {
	case equalFold(name, typeJSON):
	case len(name) > len(app)+len(suffix) && equalFold(name[:len(app)], app) && equalFold(name[len(name)-len(suffix):], suffix):
	default:
		return false
	}
	return charsetOK(params)
}

// charsetOK reads "; a=b; charset=utf-8".
func charsetOK(params []byte) bool {
	const charset = "charset="
	for len(params) > 0 {
		params = params[1:] // the semicolon
		end := 0
		for end < len(params) && params[end] != ';' {
			end++
		}
		p := trim(params[:end])
		if len(p) > len(charset) && equalFold(p[:len(charset)], charset) {
			v := p[len(charset):]
			if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			if !equalFold(v, "utf-8") && !equalFold(v, "us-ascii") {
				return false
			}
		}
		params = params[end:]
	}
	return true
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
