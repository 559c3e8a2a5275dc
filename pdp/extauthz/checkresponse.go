package extauthz

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"thymus/pdp"
)

// A CheckResponse in protobuf's wire format (envoy/service/auth/v3/external_auth.proto):
//
//	1 status {1 code}
//	2 denied_response {1 status {1 code} | 2 headers* | 3 body}
//	3 ok_response {2 headers* | 5 headers_to_remove* | 6 response_headers_to_add* | 7 query_parameters_to_set* {1 key, 2 value} |
//	  8 query_parameters_to_remove*}
//	4 dynamic_metadata (google.protobuf.Struct)
//
// A header is {1 header {1 key, 2 value} | 2 append {1 value}}: append is always said, because what Envoy takes its
// absence for depends on the place and has changed. To the upstream a header replaces the client's, and further values of
// a list are appended. What goes to the client stands beside what the application said (true in 6), and in a denial Envoy
// writes each header that does not say append, repeated ones too, and loses those that do.

const permissionDenied = 7 // google.rpc.Code

// open begins a message in field num and returns where; shut ends it.
func open(dst []byte, num int) ([]byte, int) {
	dst = append(dst, byte(num<<3|wireBytes), 0)
	return dst, len(dst)
}

// shut writes the length of what was appended since open, for which one byte was left.
func shut(dst []byte, at int) []byte {
	n := uint64(len(dst) - at)
	if n < 0x80 {
		dst[at-1] = byte(n)
		return dst
	}
	var b [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(b[:], n)
	dst = slices.Insert(dst, at, b[1:size]...)
	dst[at-1] = b[0]
	return dst
}

func appendField[T ~string | ~[]byte](dst []byte, num int, s T) []byte {
	dst = append(dst, byte(num<<3|wireBytes))
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendText is appendField for what a policy wrote, which need not be UTF-8: Envoy reads no message with such a text.
func appendText(dst []byte, num int, s string) []byte {
	if !validText(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return appendField(dst, num, s)
}

func appendVarint(dst []byte, num int, v uint64) []byte {
	return binary.AppendUvarint(append(dst, byte(num<<3|wireVarint)), v)
}

// appendPair appends a message of a key 1 and a value 2 in field num.
func appendPair(dst []byte, num int, key, value string) []byte {
	dst, at := open(dst, num)
	dst = appendField(dst, 1, key)
	dst = appendField(dst, 2, value)
	return shut(dst, at)
}

// appendHeader appends a HeaderValueOption in field num.
func appendHeader(dst []byte, num int, name, value string, more bool) []byte {
	dst, at := open(dst, num)
	dst = appendPair(dst, 1, name, value)
	if more {
		dst = append(dst, 2<<3|wireBytes, 2, 1<<3|wireVarint, 1)
	} else {
		dst = append(dst, 2<<3|wireBytes, 0)
	}
	return shut(dst, at)
}

// appendResponse appends the CheckResponse that says the turn's answer.
func (t *turn) appendResponse(dst []byte) []byte {
	if t.answer.permit {
		dst = append(dst, 1<<3|wireBytes, 0)
		dst = t.appendOK(dst)
	} else {
		dst = append(dst, 1<<3|wireBytes, 2, 1<<3|wireVarint, permissionDenied)
		dst = t.appendDenied(dst)
	}
	if t.answer.d != nil {
		dst = t.appendMetadata(dst)
	}
	return dst
}

func (t *turn) appendDenied(dst []byte) []byte {
	dst, at := open(dst, 2)
	headers := t.headers[:0]
	status, body := t.denial(func(name, value string, _ bool) { headers = appendHeader(headers, 2, name, value, false) }, anyStatus)
	t.frame, t.headers = body, headers
	dst, code := open(dst, 1)
	dst = shut(appendVarint(dst, 1, uint64(status)), code)
	dst = append(dst, headers...)
	dst = appendText(dst, 3, lend(body))
	return shut(dst, at)
}

func (t *turn) appendOK(dst []byte) []byte {
	dst, at := open(dst, 3)
	var gone [8]string
	names := gone[:0]
	t.upstream(func(name, value string, more bool) { dst = appendHeader(dst, 2, name, value, more) },
		func(name string) { names = append(names, name) })
	for _, name := range names {
		dst = appendField(dst, 5, name)
	}
	t.downstream(func(name, value string, _ bool) { dst = appendHeader(dst, 6, name, value, true) })
	if o := &t.object; o.doc != nil {
		eachHeader(o.doc, o.setQuery, func(key, value string, _ bool) { dst = appendPair(dst, 7, queryPart(key), queryPart(value)) })
		eachString(o.doc, o.removeQuery, func(key string) { dst = appendText(dst, 8, key) })
	}
	return shut(dst, at)
}

// appendMetadata appends what later filters and access logs read: the decision, or what the entrypoint made of it.
func (t *turn) appendMetadata(dst []byte) []byte {
	d := t.answer.d
	dst, at := open(dst, 4)
	dst = appendMember(dst, "decision_id", t.decisionID())
	if t.m.segs == nil {
		dst = appendMember(dst, "effect", d.Effect.String())
		if d.Matched {
			dst = appendMember(dst, "policy", d.Policy)
			dst = appendMember(dst, "rule", d.Rule)
		}
		dst = appendMember(dst, "reason", d.Reason)
		return shut(dst, at)
	}
	o := &t.object
	if o.code != "" {
		dst = appendMember(dst, "reason_code", o.code)
	}
	if o.doc != nil && o.metadata >= 0 {
		for c := o.metadata + 1; c < o.doc.Nodes[o.metadata].Next; c = o.doc.Nodes[c].Next {
			switch key := o.doc.Str(o.doc.Nodes[c].Key); {
			case key == "decision_id", key == "reason_code" && o.code != "":
			default:
				dst = appendEntry(dst, o.doc, c)
			}
		}
	}
	return shut(dst, at)
}

// appendMember appends an entry of a Struct whose value is a string.
func appendMember(dst []byte, key, value string) []byte {
	dst, at := open(dst, 1)
	dst = appendField(dst, 1, key)
	dst, v := open(dst, 2)
	dst = shut(appendText(dst, 3, value), v)
	return shut(dst, at)
}

// appendEntry appends an entry of a Struct from the member at index i.
func appendEntry(dst []byte, d *pdp.Doc, i int32) []byte {
	dst, at := open(dst, 1)
	dst = appendText(dst, 1, d.Str(d.Nodes[i].Key))
	return shut(appendDynamic(dst, 2, d, i), at)
}

// appendDynamic appends a google.protobuf.Value in field num.
func appendDynamic(dst []byte, num int, d *pdp.Doc, i int32) []byte {
	dst, at := open(dst, num)
	n := &d.Nodes[i]
	switch n.Kind {
	case pdp.Null:
		dst = appendVarint(dst, 1, 0)
	case pdp.Number:
		f, err := strconv.ParseFloat(d.Str(n.Val), 64)
		if err != nil {
			f = math.Copysign(math.MaxFloat64, f) // beyond what a Value can say
		}
		dst = binary.LittleEndian.AppendUint64(append(dst, 2<<3|wireFixed8), math.Float64bits(f))
	case pdp.String:
		dst = appendText(dst, 3, d.Str(n.Val))
	case pdp.True:
		dst = appendVarint(dst, 4, 1)
	case pdp.False:
		dst = appendVarint(dst, 4, 0)
	default:
		num, entry := 6, func(dst []byte, c int32) []byte { return appendDynamic(dst, 1, d, c) }
		if n.Kind == pdp.Object {
			num, entry = 5, func(dst []byte, c int32) []byte { return appendEntry(dst, d, c) }
		}
		var inner int
		dst, inner = open(dst, num)
		for c := i + 1; c < n.Next; c = d.Nodes[c].Next {
			dst = entry(dst, c)
		}
		dst = shut(dst, inner)
	}
	return shut(dst, at)
}
