package extauthz

import (
	"bytes"

	"thymus/pdp"
)

// answer is what a proxy is to be told. Its strings are lent until the turn ends.
type answer struct {
	permit  bool // what the proxy does: the decision's answer, but for a dry run
	refused string
	d       *pdp.Decision // nil: no decision was made, for the cause in refused
}

// refuse answers without a decision: the call names no action, or none could be made.
func (t *turn) refuse(cause string) {
	t.answer = answer{permit: t.m.o.DryRun, refused: cause}
}

// decide reads the CheckRequest that lies in the tape's text behind the fixed words, and answers it.
func (t *turn) decide(surface pdp.Surface, peer *pdp.Peer) {
	d := &t.tape.doc
	at := d.Open(pdp.Span{}, pdp.Object)
	t.tape.cut = t.cut
	n, ok := t.tape.members(len(fixed), len(fixed)+t.size, checkRequest)
	d.End(at, n)
	v := look(d)
	switch {
	case v.method.Len == 0 && t.cut:
		t.refuse(causeLarge)
		return
	case v.method.Len == 0 && !ok:
		t.refuse(causeUnread)
		return
	case v.http < 0 || v.method.Len == 0:
		t.refuse("the call has no attributes of an HTTP request")
		return
	}
	call, err := t.m.o.Engine.Begin(1)
	if err != nil {
		t.refuse(err.Error())
		return
	}
	t.call = call
	switch {
	case ok:
		t.ask(&v, surface, peer)
	case t.cut:
		t.unread(v.method, v.path, surface, causeLarge)
	default:
		t.unread(v.method, v.path, surface, causeUnread)
	}
	t.conclude()
}

// unread asks for the denial of a call of which only the beginning could be read.
func (t *turn) unread(method, path pdp.Span, surface pdp.Surface, cause string) {
	d := &t.tape.doc
	d.Nodes = d.Nodes[:0] // half an input is none
	t.call.Req = pdp.Request{
		Surface: surface, Input: d, Action: d.Str(method), Resource: d.Str(path), HasResource: path.Len > 0,
		DryRun: t.m.o.DryRun, Fault: cause, FaultCode: pdp.FaultInput,
	}
}

// ask makes the canonical input, and the request of it. What is wrong with the call is a fault of the request.
func (t *turn) ask(v *view, surface pdp.Surface, peer *pdp.Peer) {
	d := &t.tape.doc
	e := t.m.ask(t.call.Snapshot())
	fault, whole := "", true // whole: the input has all its members, if the call has a fault or not
	blame := func(cause string) {
		if fault == "" {
			fault = cause
		}
	}
	if t.cut || t.size > t.m.o.MaxBody {
		blame(causeLarge)
	}
	raw, query := splitPath(v)
	canonical, ambiguous, ok := t.canonical(v, raw)
	switch {
	case !ok:
		blame("the path cannot be read")
	case ambiguous && e.query == nil && t.call.Snapshot().Entrypoint == nil:
		blame("the path is ambiguous")
	}
	s, cause := t.identify(v)
	if blame(cause); surface == pdp.SurfaceHTTP {
		blame(t.repeated())
	}
	in := input{who: s, raw: raw, canonical: canonical, surface: surface, peer: peer}
	in.differs = !bytes.Equal(canonical, d.Text[raw.Off:raw.Off+raw.Len])
	n := int(d.Nodes[0].Val.Len)
	t.tape.canonicalInput(v, &in)
	more, cause := t.tape.envoyInput(v, raw, query)
	blame(cause)
	whole = whole && cause == ""
	if e.bodies && fault == "" {
		if cause := t.body(v, e); cause != "" {
			blame(cause)
			whole = false
		}
		more += 2
	}
	d.End(0, n+inputMembers+more)
	id := correlation(v)
	if !whole {
		d.Nodes = d.Nodes[:0] // half an input is none
	}
	t.call.Req = pdp.Request{
		Surface: surface, Input: d, SubjectType: d.Str(in.kind), SubjectID: d.Str(in.id), Role: d.Str(in.role), HasRole: in.hasRole,
		Action: d.Str(v.method), Resource: d.Str(in.clean), HasResource: true, Correlation: id,
		PathDiffers: in.differs, DryRun: t.m.o.DryRun, Fault: fault,
	}
	if fault != "" {
		t.call.Req.FaultCode = pdp.FaultInput
	}
}

// repeated finds a header that names the subject and came more than once, which the CheckRequest that was made from an
// HTTP request does not show.
func (t *turn) repeated() (cause string) {
	for _, name := range t.m.believed {
		if t.told.twice(name) {
			return "the header " + name + " comes more than once"
		}
	}
	return ""
}

// body adds what the policies want to know of the body; the cause is why it cannot be read. Rules about parsed_body are
// silent about a body that was cut, so that a client could pad its way around a denial: where no policy looks at
// truncated_body, that is a denial by itself. An entrypoint decides for itself, as with opa-envoy-plugin, unless the proxy
// is one that never shows a body.
func (t *turn) body(v *view, e *entry) (cause string) {
	b, err := readBody(v)
	if err == nil && b.lost && e.blind && (t.told.bodiless() || e.query == nil && t.call.Snapshot().Entrypoint == nil) {
		err = errCut
	}
	if err == nil {
		err = b.lay(&t.tape, t.scan)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// canonical is the canonical path. A CONNECT has no path, and OPTIONS may ask about "*".
func (t *turn) canonical(v *view, raw pdp.Span) (path []byte, ambiguous, ok bool) {
	b := t.tape.doc.Text[raw.Off : raw.Off+raw.Len]
	if method := v.str(v.method); len(b) == 0 && method == "CONNECT" || string(b) == "*" && method == "OPTIONS" {
		return b, false, true
	}
	return t.paths.canonical(b)
}

// splitPath parts the path from the query.
func splitPath(v *view) (path, query pdp.Span) {
	b := v.doc.Text[v.path.Off : v.path.Off+v.path.Len]
	i := bytes.IndexByte(b, '?')
	if i < 0 {
		return v.path, pdp.Span{}
	}
	off := int(v.path.Off)
	return span(off, off+i), span(off+i+1, off+len(b))
}

// conclude asks the engine.
func (t *turn) conclude() {
	var d *pdp.Decision
	var err error
	if e := t.m.ask(t.call.Snapshot()); e.query != nil {
		d, err = t.call.DecideRead(e.query, t.m.o.Entrypoint, t.reader)
	} else {
		d, err = t.call.Decide()
	}
	if err != nil {
		t.refuse("the decision's record cannot be kept, and events.loss is strict")
		return
	}
	t.answer = answer{permit: d.Allowed || t.m.o.DryRun, d: d}
	if !d.Allowed && t.answer.permit {
		t.object = object{} // it speaks to a client who is not denied
	}
}

// correlation is the request's own id, else the trace id of traceparent (W3C Trace Context, 3.2).
func correlation(v *view) string {
	if id, times := v.header("x-request-id"); times == 1 && isPrintable(id) {
		return id
	}
	const length = len("00-") + 32 + len("-") + 16 + len("-00")
	tp, times := v.header("traceparent")
	if times != 1 || len(tp) < length || tp[2] != '-' || tp[35] != '-' || tp[52] != '-' || tp[:2] == "ff" ||
		len(tp) > length && (tp[:2] == "00" || tp[length] != '-') {
		return ""
	}
	zero := true
	for i := 3; i < 35; i++ {
		c := tp[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
		zero = zero && c == '0'
	}
	if zero {
		return ""
	}
	return tp[3:35]
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= pdp.MaxName
}
