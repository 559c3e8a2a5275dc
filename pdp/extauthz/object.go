package extauthz

import (
	"strconv"
	"strings"

	"thymus/pdp"
)

// object is the value of our entrypoint, read as opa-envoy-plugin reads it: nodes of the result, -1 where a member is
// missing. The zero value says that there is none.
type object struct {
	doc *pdp.Doc // nil: the value is no object, or must not be used

	headers, responseHeaders, removeHeaders int32
	setQuery, removeQuery                   int32
	body, metadata                          int32
	status                                  int // of a denial; 0: none named
	code                                    string
}

// read is the engine.Reader for our entrypoint: a boolean, or an object with `allowed`. What is neither is a denial. An
// object of which a member that counts for this answer has another type is an evaluation error, as it is there.
func (t *turn) read(s *pdp.Snapshot, path string, r *pdp.Result, d *pdp.Decision) {
	t.object = object{}
	if !r.Defined || len(r.Faults) > 0 {
		pdp.Entrypoint(s, path, r, d)
		return
	}
	switch r.Out.Nodes[0].Kind {
	case pdp.True, pdp.False:
		pdp.Entrypoint(s, path, r, d)
	case pdp.Object:
		t.readObject(s, path, r, d)
	default: // a string would be an effect elsewhere; here it is no answer
		r.Defined = false
		pdp.Entrypoint(s, path, r, d)
	}
}

func (t *turn) readObject(s *pdp.Snapshot, path string, r *pdp.Result, d *pdp.Decision) {
	doc := &r.Out
	if i := doc.Path("allowed"); i < 0 || doc.Nodes[i].Kind != pdp.True && doc.Nodes[i].Kind != pdp.False {
		r.Defined = false
		pdp.Entrypoint(s, path, r, d)
		return
	}
	pdp.Entrypoint(s, path, r, d)
	o, bad := readMembers(doc, d.Allowed)
	if bad != "" {
		d.Reset()
		d.Revision = s.Revision
		t.reason = append(append(append(t.reason[:0], "entrypoint "...), path...), ": "...)
		t.reason = append(t.reason, bad...)
		d.Fail(pdp.FaultShape, lend(t.reason))
		return
	}
	t.object = o
	if o.code != "" {
		t.reason = append(append(append(append(t.reason[:0], d.Reason...), " ["...), o.code...), ']')
		d.Reason = lend(t.reason)
	}
}

// readMembers finds the members and checks those that count; bad names the first of another type.
func readMembers(d *pdp.Doc, allowed bool) (o object, bad string) {
	o = object{doc: d, headers: d.Path("headers"), responseHeaders: d.Path("response_headers_to_add"),
		removeHeaders: d.Path("request_headers_to_remove"), setQuery: d.Path("query_parameters_to_set"),
		removeQuery: d.Path("query_parameters_to_remove"), body: d.Path("body"), metadata: d.Path("dynamic_metadata")}
	if !isHeaders(d, o.headers) {
		return o, "headers: expected an object, or an array of objects, of strings or arrays of strings"
	}
	if o.metadata >= 0 && d.Nodes[o.metadata].Kind != pdp.Object {
		return o, "dynamic_metadata: expected an object"
	}
	if o.metadata >= 0 && !isFlat(d, o.metadata, maxMetadata) {
		return o, "dynamic_metadata: expected at most 32 levels"
	}
	if i := d.Path("reason_code"); i >= 0 {
		if k := d.Nodes[i].Kind; k != pdp.String && k != pdp.Number {
			return o, "reason_code: expected a string"
		}
		o.code = d.Str(d.Nodes[i].Val)
	}
	if allowed {
		switch {
		case !isHeaders(d, o.responseHeaders):
			return o, "response_headers_to_add: expected an object, or an array of objects, of strings or arrays of strings"
		case !isStrings(d, o.removeHeaders):
			return o, "request_headers_to_remove: expected an array of strings"
		case !isStrings(d, o.removeQuery):
			return o, "query_parameters_to_remove: expected an array of strings"
		case o.setQuery >= 0 && !isValues(d, o.setQuery):
			return o, "query_parameters_to_set: expected an object of strings or arrays of strings"
		}
		return o, ""
	}
	if o.body >= 0 && d.Nodes[o.body].Kind != pdp.String {
		return o, "body: expected a string"
	}
	if i := d.Path("http_status"); i >= 0 {
		n, err := strconv.Atoi(d.Str(d.Nodes[i].Val))
		if err != nil || d.Nodes[i].Kind != pdp.Number || !isStatus(n) {
			return o, "http_status: expected the number of an HTTP status"
		}
		o.status = n
	}
	return o, ""
}

// maxMetadata bounds the levels of objects and arrays in dynamic metadata. A level is up to three messages of protobuf, and
// Envoy reads no message that is nested more than a hundred deep: to it such an answer is none, which it may let pass.
const maxMetadata = 32

// isFlat says whether the node at i has at most some levels of objects and arrays, its own included.
func isFlat(d *pdp.Doc, i int32, levels int) bool {
	if k := d.Nodes[i].Kind; k != pdp.Object && k != pdp.Array {
		return true
	}
	if levels == 0 {
		return false
	}
	for c := i + 1; c < d.Nodes[i].Next; c = d.Nodes[c].Next {
		if !isFlat(d, c, levels-1) {
			return false
		}
	}
	return true
}

// isStatus says whether Envoy knows a status (envoy.type.v3.StatusCode).
func isStatus(n int) bool {
	switch {
	case n == 100, 200 <= n && n <= 208, n == 226, 300 <= n && n <= 305, n == 307, n == 308, 400 <= n && n <= 417,
		421 <= n && n <= 424, n == 426, n == 428, n == 429, n == 431, 500 <= n && n <= 508, n == 510, n == 511:
		return true
	}
	return false
}

func isStrings(d *pdp.Doc, i int32) bool {
	if i < 0 {
		return true
	}
	if d.Nodes[i].Kind != pdp.Array {
		return false
	}
	for c := i + 1; c < d.Nodes[i].Next; c = d.Nodes[c].Next {
		if d.Nodes[c].Kind != pdp.String {
			return false
		}
	}
	return true
}

// isValues says whether the node at i is an object of strings and arrays of strings.
func isValues(d *pdp.Doc, i int32) bool {
	if d.Nodes[i].Kind != pdp.Object {
		return false
	}
	for c := i + 1; c < d.Nodes[i].Next; c = d.Nodes[c].Next {
		if d.Nodes[c].Kind != pdp.String && !isStrings(d, c) {
			return false
		}
	}
	return true
}

// isHeaders is isValues for what may be an array of such objects too, with names that a header can have.
func isHeaders(d *pdp.Doc, i int32) bool {
	switch {
	case i < 0:
		return true
	case d.Nodes[i].Kind == pdp.Object:
		if !isValues(d, i) {
			return false
		}
		for c := i + 1; c < d.Nodes[i].Next; c = d.Nodes[c].Next {
			if !isToken(strings.TrimPrefix(d.Str(d.Nodes[c].Key), ":")) {
				return false
			}
		}
		return true
	case d.Nodes[i].Kind == pdp.Array:
		for c := i + 1; c < d.Nodes[i].Next; c = d.Nodes[c].Next {
			if d.Nodes[c].Kind != pdp.Object || !isHeaders(d, c) {
				return false
			}
		}
		return true
	}
	return false
}

// eachHeader calls f for each name and value of the headers at i, more for all but the first value of a name's list.
func eachHeader(d *pdp.Doc, i int32, f func(name, value string, more bool)) {
	if i < 0 {
		return
	}
	for c := i + 1; c < d.Nodes[i].Next; c = d.Nodes[c].Next {
		if d.Nodes[i].Kind == pdp.Array {
			eachHeader(d, c, f)
			continue
		}
		name := d.Str(d.Nodes[c].Key)
		if d.Nodes[c].Kind == pdp.String {
			f(name, d.Str(d.Nodes[c].Val), false)
			continue
		}
		for v := c + 1; v < d.Nodes[c].Next; v++ {
			f(name, d.Str(d.Nodes[v].Val), v > c+1)
		}
	}
}

// eachString calls f for each string of the array at i.
func eachString(d *pdp.Doc, i int32, f func(string)) {
	if i < 0 {
		return
	}
	for c := i + 1; c < d.Nodes[i].Next; c++ {
		f(d.Str(d.Nodes[c].Val))
	}
}
