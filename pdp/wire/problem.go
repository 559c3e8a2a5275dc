package wire

import (
	"net/http"
	"strconv"

	"thymus/pdp"
)

// Kind is a problem's type: what a client may act on.
type Kind uint8

// The kinds of problems. KindStatus is RFC 9457's about:blank: the status says it all.
const (
	KindStatus    Kind = iota
	KindMalformed      // the body is no acceptable JSON
	KindField          // a member is missing, empty, too long, or of another type
	KindRecord         // events.loss is strict, and the record of the decision cannot be kept
)

var kinds = [...]struct{ uri, title string }{
	KindStatus:    {"about:blank", ""},
	KindMalformed: {"/problems/malformed-json", "Malformed JSON"},
	KindField:     {"/problems/invalid-field", "Invalid field"},
	KindRecord:    {"/problems/record-not-kept", "Record not kept"},
}

// Problem is an error as the native and AuthZEN surfaces answer it (RFC 9457). One that a Decoder returns is lent until
// the Decoder's next call.
type Problem struct {
	Kind   Kind
	Status int    // HTTP status
	Detail string // what was expected, and what there was
	Field  string // dotted path of the member at fault, from the body's root; empty where none is
	Offset int    // bytes into the body; -1 where no place is at fault
}

// Error is the problem in one line, for logs.
func (p *Problem) Error() string {
	if p.Field == "" {
		return p.Detail
	}
	return p.Field + ": " + p.Detail
}

// StatusProblem is a problem whose status says it all: 401, 404, 405, 413, 431, 503.
func StatusProblem(status int, detail string) *Problem {
	return &Problem{Kind: KindStatus, Status: status, Detail: detail, Offset: -1}
}

// RecordProblem is the answer of the strict loss policy where a decision's record cannot be kept.
func RecordProblem() *Problem {
	return &Problem{Kind: KindRecord, Status: http.StatusServiceUnavailable, Offset: -1,
		Detail: "the decision's record cannot be kept, and events.loss is strict"}
}

// ContentTypeProblem is the answer to a body that is not JSON.
func ContentTypeProblem() *Problem {
	return &Problem{Kind: KindStatus, Status: http.StatusBadRequest, Offset: -1,
		Detail: "content type: expected application/json"}
}

// AppendProblem appends p as application/problem+json.
func AppendProblem(dst []byte, p *Problem) []byte {
	k := kinds[p.Kind]
	title := k.title
	if title == "" {
		title = http.StatusText(p.Status)
	}
	dst = append(dst, `{"type":"`...)
	dst = append(dst, k.uri...)
	dst = append(dst, `","title":`...)
	dst = pdp.AppendString(dst, title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	dst = append(dst, `,"detail":`...)
	dst = pdp.AppendString(dst, p.Detail)
	if p.Field != "" {
		dst = append(dst, `,"field":`...)
		dst = pdp.AppendString(dst, p.Field)
	}
	return append(dst, '}')
}
