package admin

import (
	"encoding/json"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"thymus/pdp"
	"thymus/pdp/policy"
	"thymus/pdp/wire"
)

// Bounds of a body, in bytes, and of its nesting.
const (
	maxBody       = 64 << 10
	maxPolicyBody = policy.MaxText + 64<<10 // with what is around the text
	maxDepth      = 64
)

// The media types of bodies.
const (
	typeJSON  = "application/json"
	typePatch = "application/merge-patch+json"
	typeYAML  = "application/yaml"
	typeText  = "text/plain"
)

func fieldProblem(field, detail string) *wire.Problem {
	return &wire.Problem{Kind: wire.KindField, Status: http.StatusBadRequest, Field: field, Detail: detail, Offset: -1}
}

// readBody reads a body of one of the media types, and says which.
func readBody(r *http.Request, limit int64, types ...string) (body []byte, media string, p *wire.Problem) {
	expected := "expected " + strings.Join(types, " or ")
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, "", wire.StatusProblem(http.StatusUnsupportedMediaType, "content encoding: expected none")
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch media {
	case "application/x-yaml", "text/yaml", "text/x-yaml":
		media = typeYAML
	}
	if err != nil || !slices.Contains(types, media) {
		return nil, "", wire.StatusProblem(http.StatusUnsupportedMediaType, "content type: "+expected)
	}
	// JSON has no charset (RFC 8259, 11), and is UTF-8 whatever is said; text in another one would be misread.
	if c := params["charset"]; c != "" && media != typeJSON && media != typePatch && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "us-ascii") {
		return nil, "", wire.StatusProblem(http.StatusUnsupportedMediaType, "content type: expected the charset utf-8")
	}
	tooLarge := wire.StatusProblem(http.StatusRequestEntityTooLarge, "expected a body of at most "+strconv.FormatInt(limit, 10)+" bytes")
	if r.ContentLength > limit {
		discard(r)
		return nil, "", tooLarge
	}
	if body, err = io.ReadAll(io.LimitReader(r.Body, limit+1)); err != nil {
		return nil, "", wire.StatusProblem(http.StatusBadRequest, "the body could not be read whole")
	}
	if int64(len(body)) > limit {
		discard(r)
		return nil, "", tooLarge
	}
	if media == typeJSON || media == typePatch {
		return body, media, checkJSON(body)
	}
	if !utf8.Valid(body) {
		return nil, "", &wire.Problem{Kind: wire.KindStatus, Status: http.StatusBadRequest, Detail: "the body is not valid UTF-8", Offset: -1}
	}
	return body, media, nil
}

// maxDiscard bounds what is read of a body that is not taken, in bytes.
const maxDiscard = 32 << 20

// discard reads what is left of a body that is too large, up to a bound: a client that sends before it reads would meet
// a closed connection, and not the answer.
func discard(r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, maxDiscard) // the answer says what is wrong
}

// checkJSON refuses what the data plane refuses: no JSON, duplicate keys, invalid UTF-8, nesting that is too deep.
func checkJSON(body []byte) *wire.Problem {
	var doc pdp.Doc
	if p := wire.NewScanner().Scan(body, wire.Mode{Depth: maxDepth}, &doc); p != nil {
		return p
	}
	if doc.Nodes[0].Kind != pdp.Object {
		return fieldProblem("", "expected an object")
	}
	return nil
}

// object is a JSON object that was read. Its methods note the first problem they meet and give nothing from then on.
type object struct {
	members map[string]json.RawMessage
	problem *wire.Problem
}

// readObject reads a JSON object.
func readObject(r *http.Request, types ...string) *object {
	body, _, p := readBody(r, maxBody, types...)
	if p != nil {
		return &object{problem: p}
	}
	o := &object{}
	if err := json.Unmarshal(body, &o.members); err != nil {
		o.problem = fieldProblem("", "expected an object") // checked before
	}
	return o
}

// hasBody says whether a request brings a body.
func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

func (o *object) fail(field, detail string) {
	if o.problem == nil {
		o.problem = fieldProblem(field, detail)
	}
}

// opt is an optional string; nil where it is absent.
func (o *object) opt(field string) *string {
	raw, ok := o.members[field]
	if o.problem != nil || !ok {
		return nil
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		o.fail(field, "expected a string")
		return nil
	}
	return s
}

// str is a string, empty where it is absent.
func (o *object) str(field string) string {
	if s := o.opt(field); s != nil {
		return *s
	}
	return ""
}

// required is a string that must be there and not be empty.
func (o *object) required(field string) string {
	if _, ok := o.members[field]; !ok {
		o.fail(field, "a required member is missing")
	}
	s := o.str(field)
	if s == "" {
		o.fail(field, "expected a string that is not empty")
	}
	return s
}

// object is an object as it was sent; nil where it is absent.
func (o *object) object(field string) json.RawMessage {
	raw, ok := o.members[field]
	if !ok {
		return nil
	}
	if len(raw) == 0 || raw[0] != '{' {
		o.fail(field, "expected an object")
		return nil
	}
	return raw
}

// integer is a whole number between bounds; zero where it is absent.
func (o *object) integer(field string, least, most int64) int64 {
	raw, ok := o.members[field]
	if !ok || o.problem != nil {
		return 0
	}
	n, ok := whole(string(raw))
	if !ok || n < least || n > most {
		o.fail(field, "expected a whole number from "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10))
		return 0
	}
	return n
}

// whole is a JSON number that is an integer by its value: 60, 60.0 and 6e1 alike.
func whole(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	const exact = 1 << 53
	f, err := strconv.ParseFloat(text, 64)
	return int64(f), err == nil && f == math.Trunc(f) && math.Abs(f) <= exact
}

// query reads parameters of the URL. Like object it notes the first problem.
type query struct {
	values  map[string][]string
	problem *wire.Problem
}

func readQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.problem = wire.StatusProblem(http.StatusBadRequest, "the query is malformed: expected name=value, joined by & and percent-encoded")
	}
	return q
}

func (q *query) fail(name, detail string) {
	if q.problem == nil {
		q.problem = fieldProblem(name, detail)
	}
}

func (q *query) str(name string) string {
	v := q.values[name]
	if len(v) > 1 {
		q.fail(name, "expected once")
	}
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

func (q *query) integer(name string, absent, least, most int64) int64 {
	if len(q.values[name]) == 0 {
		return absent
	}
	n, err := strconv.ParseInt(q.str(name), 10, 64)
	if err != nil || n < least || n > most {
		q.fail(name, "expected a whole number from "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10))
		return absent
	}
	return n
}

// badCursor is what is wrong with a ?next= that no list gave.
const badCursor = "expected the next of the page before"

// limit is the number of items of a page.
func (q *query) limit() int { return int(q.integer("limit", 100, 1, 1000)) }

// list is what a parameter names, separated by commas or given more than once; each must be one of the known.
func list[T ~string](q *query, name string, known []T) (out []T) {
	for _, v := range q.values[name] {
		for s := range strings.SplitSeq(v, ",") {
			if !slices.Contains(known, T(s)) {
				names := make([]string, len(known))
				for i, k := range known {
					names[i] = string(k)
				}
				q.fail(name, "expected one of "+strings.Join(names, ", "))
				return nil
			}
			out = append(out, T(s))
		}
	}
	return out
}

// page is a list as it is answered.
type page struct {
	Items any     `json:"items"`
	Next  *string `json:"next"` // null: that was all
}

func paged[T any](items []T, next string) page {
	if items == nil {
		items = []T{}
	}
	if next == "" {
		return page{Items: items}
	}
	return page{items, &next}
}
