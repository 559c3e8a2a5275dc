package extauthz

import (
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// Canonical is the canonical path of a raw one, for tests.
func Canonical(raw string) (path string, ambiguous, ok bool) {
	var p pathBuffers
	b, ambiguous, ok := p.canonical([]byte(raw))
	return string(b), ambiguous, ok
}

// IsStatus says whether Envoy knows a status, for tests.
func IsStatus(n int) bool { return isStatus(n) }

// Fields are the names of a message's fields by number, for tests.
func Fields(name string) map[uint32]string {
	var find func(m *message) *message
	find = func(m *message) *message {
		if m == nil || m.name == name {
			return m
		}
		for i := range m.fields {
			if f := find(m.fields[i].msg); f != nil {
				return f
			}
		}
		return nil
	}
	out := map[uint32]string{}
	if m := find(checkRequest); m != nil {
		for _, f := range m.fields {
			out[f.num] = f.name
		}
	}
	return out
}

// Ask answers a message as Check does, and says whether it is a permit and whether the answer is well formed.
func Ask(m *Mesh, message []byte) (permit, ok bool) {
	t := m.turn()
	defer t.release()
	t.load(message)
	m.check(t, &pdp.Peer{})
	var r auth.CheckResponse
	err := proto.Unmarshal(t.out, &r)
	return r.GetStatus().GetCode() == 0, err == nil && (r.GetOkResponse() != nil || r.GetDeniedResponse() != nil)
}

// Sweep ends connections that have stalled by now, for tests.
func Sweep(m *Mesh, now time.Time) { m.server.conns.sweep(now) }

// Calls is how many calls are under way, for tests.
func Calls(m *Mesh) int64 { return m.server.calls.Load() }

// Busy makes as many calls look as if they were under way, for tests.
func Busy(m *Mesh) (done func()) {
	m.server.calls.Add(maxCalls)
	return func() { m.server.calls.Add(-maxCalls) }
}

// Layer lays a message on a tape again and again, and says whether it could be read, for benchmarks.
func Layer(message []byte) func() bool {
	var t tape
	return func() bool {
		t.load(len(message))
		t.doc.Text = append(t.doc.Text, message...)
		at := t.doc.Open(pdp.Span{}, pdp.Object)
		n, ok := t.members(len(fixed), len(fixed)+len(message), checkRequest)
		t.doc.End(at, n)
		return ok
	}
}

// Answerer answers a message again and again, without gRPC, for benchmarks.
func Answerer(m *Mesh, message []byte) func() {
	return func() {
		t := m.turn()
		t.load(message)
		t.start, t.cause = time.Now(), ""
		m.check(t, &pdp.Peer{})
		t.release()
	}
}

// Attributes is a message as policies see it, in JSON, for tests.
func Attributes(message []byte) (text []byte, ok bool) {
	var t tape
	t.load(len(message))
	t.doc.Text = append(t.doc.Text, message...)
	at := t.doc.Open(pdp.Span{}, pdp.Object)
	n, ok := t.members(len(fixed), len(fixed)+len(message), checkRequest)
	t.doc.End(at, n)
	if !ok {
		return nil, false
	}
	return t.doc.AppendJSON(nil, 0), true
}

// Form is a query or a form as policies see it, in JSON, for tests.
func Form(query string) (text []byte, ok bool) {
	var t tape
	t.load(0)
	at := t.doc.Open(pdp.Span{}, pdp.Object)
	n, ok := t.form(query)
	t.doc.End(at, n)
	if !ok {
		return nil, false
	}
	return t.doc.AppendJSON(nil, 0), true
}

// Body is what policies see of a request's body, in JSON, for tests.
func Body(contentType, text string) (parsed []byte, ok bool) {
	message, err := proto.Marshal(&auth.CheckRequest{Attributes: &auth.AttributeContext{Request: &auth.AttributeContext_Request{
		Http: &auth.AttributeContext_HttpRequest{Headers: map[string]string{"content-type": contentType}, RawBody: []byte(text)}}}})
	if err != nil {
		return nil, false
	}
	var t tape
	t.load(len(message))
	t.doc.Text = append(t.doc.Text, message...)
	at := t.doc.Open(pdp.Span{}, pdp.Object)
	n, ok := t.members(len(fixed), len(fixed)+len(message), checkRequest)
	t.doc.End(at, n)
	v := look(&t.doc)
	b, err := readBody(&v)
	if !ok || err != nil {
		return nil, false
	}
	t.doc.Nodes = t.doc.Nodes[:0]
	at = t.doc.Open(pdp.Span{}, pdp.Object)
	if b.lay(&t, wire.NewScanner()) != nil {
		return nil, false
	}
	t.doc.End(at, 2)
	return t.doc.AppendJSON(nil, 0), true
}
