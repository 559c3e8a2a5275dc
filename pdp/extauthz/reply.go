package extauthz

import (
	"net/http"
	"strconv"

	"thymus/pdp"
)

// The headers of ours that an upstream reads. Whatever a client sent under these names is overwritten or removed.
const (
	headerID      = "x-thymus-decision-id"
	headerEffect  = "x-thymus-effect"
	headerWarning = "x-thymus-warning"
	headerReason  = "x-thymus-reason" // never sent; a client's must not look as if it were
)

func isOurs(name string) bool {
	return lowered(name, headerID) || lowered(name, headerEffect) || lowered(name, headerWarning) || lowered(name, headerReason)
}

// framing are the headers that belong to the connection; a policy cannot set them.
func framing(name string) bool {
	for _, f := range [...]string{"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer"} {
		if lowered(name, f) {
			return true
		}
	}
	return false
}

// upstream calls f for each header that a permit adds to the request, ours last, and gone for each name that it takes
// away. Values are lent.
func (t *turn) upstream(f func(name, value string, more bool), gone func(name string)) {
	o := &t.object
	if o.doc != nil {
		eachHeader(o.doc, o.headers, func(name, value string, more bool) {
			if !isOurs(name) && !framing(name) {
				f(name, t.value(value), more)
			}
		})
		eachString(o.doc, o.removeHeaders, func(name string) {
			if !isOurs(name) && isToken(name) {
				gone(name)
			}
		})
	}
	d := t.answer.d
	if d == nil { // a dry run of a call that could not be decided
		gone(headerID)
		gone(headerEffect)
		gone(headerWarning)
		gone(headerReason)
		return
	}
	f(headerID, t.decisionID(), false)
	f(headerEffect, d.Effect.String(), false)
	if len(d.Warnings) > 0 {
		f(headerWarning, t.warning(d.Warnings), false)
	} else {
		gone(headerWarning)
	}
	gone(headerReason)
}

// downstream calls f for each header that goes to the client with the upstream's answer.
func (t *turn) downstream(f func(name, value string, more bool)) {
	if o := &t.object; o.doc != nil {
		eachHeader(o.doc, o.responseHeaders, func(name, value string, more bool) {
			if name[0] != ':' && !framing(name) {
				f(name, t.value(value), more)
			}
		})
	}
}

// anyStatus are the statuses of denials by gRPC; by HTTP a proxy could take some of them for a permit or a failure.
func anyStatus(int) bool { return true }

// isDenial says whether a status is one that every proxy takes for a denial.
func isDenial(status int) bool { return 300 <= status && status <= 499 }

// denial calls f for each header of the answer that a denied client gets, and returns status and body. A status that may
// not be sent is 403.
func (t *turn) denial(f func(name, value string, more bool), may func(status int) bool) (status int, body []byte) {
	status = http.StatusForbidden
	o := &t.object
	typed := false
	if o.doc != nil {
		eachHeader(o.doc, o.headers, func(name, value string, more bool) {
			if name[0] == ':' || framing(name) {
				return
			}
			typed = typed || lowered(name, "content-type")
			f(name, t.value(value), more)
		})
		if o.status != 0 && may(o.status) {
			status = o.status
		}
		if o.body >= 0 {
			return status, append(t.frame[:0], o.doc.Str(o.doc.Nodes[o.body].Val)...)
		}
	}
	if !typed {
		f("content-type", "application/problem+json", false)
	}
	return status, t.problem(t.frame[:0], status)
}

// problem appends what a denied client is told (RFC 9457).
func (t *turn) problem(dst []byte, status int) []byte {
	dst = append(dst, `{"type":"about:blank","title":`...)
	dst = pdp.AppendString(dst, http.StatusText(status))
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	reason := t.answer.refused
	if d := t.answer.d; d != nil {
		reason = d.Reason
		dst = append(dst, `,"decision_id":"`...)
		dst = d.AppendID(dst)
		dst = append(dst, '"')
	}
	if t.m.o.ExposeReason && reason != "" {
		dst = append(dst, `,"detail":`...)
		dst = pdp.AppendString(dst, reason)
	}
	return append(dst, '}')
}

// decisionID is the decision's id as text, lent until the turn ends.
func (t *turn) decisionID() string {
	t.id = t.answer.d.AppendID(t.id[:0])
	return lend(t.id)
}

// warning joins warnings to one header value, lent until the turn ends.
func (t *turn) warning(ws []string) string {
	b, left := t.warned[:0], maxHeader
	for i, w := range ws {
		if i > 0 {
			b = appendVisible(b, "; ", left)
			left = maxHeader - len(b)
		}
		b = appendVisible(b, w, left)
		left = maxHeader - len(b)
	}
	t.warned = b
	return lend(b)
}

// value is a policy's header value, with what no header may hold percent-encoded.
func (t *turn) value(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return string(appendValue(nil, s))
		}
	}
	return s
}
