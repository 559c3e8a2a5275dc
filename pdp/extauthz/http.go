package extauthz

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/pdp"
)

// The paths of the HTTP surfaces. Below the first lies the original request's own path.
const (
	pathEnvoy   = "/ext_authz/envoy"
	pathNginx   = "/ext_authz/nginx"
	pathForward = "/ext_authz/forward"
)

// Serve answers a proxy's call over HTTP: 200 is a permit, everything else a denial. ctx and peer are lent until it
// returns. What the request's target says is read raw, before any normalisation.
func (m *Mesh) Serve(ctx *fasthttp.RequestCtx, peer *pdp.Peer) {
	t := m.turn()
	defer t.release()
	defer t.end(pdp.SurfaceHTTP)
	defer func() {
		if r := recover(); r != nil {
			m.panicked(r)
			ctx.SetConnectionClose()
			ctx.Response.Reset()
			ctx.Response.SetStatusCode(http.StatusForbidden)
		}
	}()
	t.start = time.Now()
	if err := t.told.tell(&ctx.Request.Header, ctx.Request.Body(), m.o.Guarded); err != nil {
		t.reject(err.Error())
	} else {
		t.frame = t.told.appendRequest(t.frame[:0], t.start)
		t.load(t.frame)
		t.decide(pdp.SurfaceHTTP, peer)
	}
	t.reply(ctx, bytes.HasPrefix(ctx.Request.Header.RequestURI(), []byte(pathEnvoy)))
}

// TooLarge records that a proxy's call is denied whose body is longer than MaxBody, as its header says, or as was seen while
// it was read. Whoever read the header answers with 403, in a dry run too, because nothing behind it is read.
func (m *Mesh) TooLarge(h *fasthttp.RequestHeader) {
	t := m.turn()
	defer t.release()
	defer t.end(pdp.SurfaceHTTP)
	defer func() {
		if r := recover(); r != nil {
			m.panicked(r)
		}
	}()
	t.start = time.Now()
	if err := t.told.tell(h, nil, m.o.Guarded); err != nil {
		t.reject(err.Error())
		return
	}
	t.told.size = max(h.ContentLength(), 0) // of a chunked body nothing is known
	t.frame = t.told.appendRequest(t.frame[:0], t.start)
	t.load(t.frame)
	t.cut = true
	t.decide(pdp.SurfaceHTTP, &pdp.Peer{})
}

// load makes t ready to decide about a message.
func (t *turn) load(message []byte) {
	t.tape.load(len(message))
	t.tape.doc.Text = append(t.tape.doc.Text, message...)
	t.size, t.cut = len(message), false
}

// reject denies a call whose proxy did not say what it has to. Where it names the action, that is a decision.
func (t *turn) reject(cause string) {
	if len(t.told.method) == 0 {
		t.refuse(cause)
		return
	}
	t.tape.load(0)
	t.size, t.cut = 0, false
	call, err := t.m.o.Engine.Begin(1)
	if err != nil {
		t.refuse(err.Error())
		return
	}
	t.call = call
	t.unread(t.lent(string(t.told.method)), pdp.Span{}, pdp.SurfaceHTTP, cause)
	t.conclude()
}

// lent copies s to the tape's text.
func (t *turn) lent(s string) pdp.Span { return t.tape.doc.AddText(s) }

func (m *Mesh) panicked(r any) {
	m.panics.Add(1)
	m.o.Log.Warn("a proxy's call ended in a panic", fmt.Errorf("%v\n%s", r, debug.Stack()))
}

// reply says the answer in HTTP.
func (t *turn) reply(ctx *fasthttp.RequestCtx, envoy bool) {
	h := &ctx.Response.Header
	set := func(name, value string, more bool) {
		if name[0] == ':' {
			return // Envoy alone knows them
		}
		if earlier := h.Peek(name); more && len(earlier) > 0 && !lowered(name, "set-cookie") {
			// Of several fields Envoy and nginx take one; a list is the same (RFC 9110, 5.3).
			h.Set(name, string(earlier)+","+value)
		} else if more {
			h.Add(name, value)
		} else {
			h.Set(name, value)
		}
	}
	if !t.answer.permit {
		status, body := t.denial(func(name, value string, more bool) {
			// Nothing stands here yet but what the entrypoint said.
			set(name, value, more || !lowered(name, "content-type") && len(h.Peek(name)) > 0)
		}, isDenial)
		t.frame = body
		if t.answer.d != nil { // for proxies that drop the body
			set(headerID, t.decisionID(), false)
		}
		ctx.Response.SetStatusCode(status)
		ctx.Response.SetBody(body)
		return
	}
	ctx.Response.SetStatusCode(http.StatusOK)
	gone := t.out[:0]
	t.upstream(set, func(name string) {
		if len(gone) > 0 {
			gone = append(gone, ',')
		}
		gone = append(gone, name...)
	})
	t.downstream(set)
	if t.out = gone; envoy {
		h.SetBytesV("x-envoy-auth-headers-to-remove", gone)
	}
}
