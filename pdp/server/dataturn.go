package server

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"github.com/valyala/fasthttp"
)

// packFrom is the length in bytes from which an answer is packed for who takes it.
const packFrom = 1024

// maxSegments bounds a path of the Data API.
const maxSegments = 128

// errTooLong is what a body is that unpacks to more than may be sent unpacked.
var errTooLong = errors.New("too long")

// dataTurn is what a request to the Data API borrows beyond the others.
type dataTurn struct {
	path   []string // lent by text
	action string   // the path's segments, decoded and joined by slashes; lent by text
	text   []byte
	value  []byte // of a parameter

	in      bytes.Reader
	reader  gzip.Reader
	plain   []byte
	writer  *gzip.Writer
	packed  bytes.Buffer
	touched bool
}

func (t *dataTurn) release() {
	if !t.touched {
		return
	}
	t.touched = false
	t.path, t.action, t.text, t.value = t.path[:0], "", t.text[:0], t.value[:0]
	t.in.Reset(nil)
	for _, b := range [...]*[]byte{&t.text, &t.value, &t.plain} {
		if cap(*b) > keepBuffer {
			*b = nil
		}
	}
	if t.packed.Cap() > keepBuffer {
		t.packed = bytes.Buffer{}
	}
}

// errPath is what a path is that names no document, errEncoding one that is badly percent-encoded.
var (
	errPath     = errors.New("expected a path of segments that are not empty")
	errEncoding = errors.New("path: expected percent-encoded segments")
)

// parse reads the raw path behind /v1/data: nothing, or a slash and segments, percent-encoded. It is errPath where one is
// empty, or where there are too many.
func (t *dataTurn) parse(raw []byte) error {
	t.touched = true
	t.path, t.text, t.action = t.path[:0], t.text[:0], ""
	if len(raw) == 0 {
		return nil
	}
	if cap(t.text) < len(raw) { // decoding never makes it longer, so that strings into text stay good
		t.text = make([]byte, 0, len(raw))
	}
	raw = raw[1:]
	for more := true; more; {
		var seg []byte
		seg, raw, more = bytes.Cut(raw, []byte{'/'})
		if len(t.path) > 0 {
			t.text = append(t.text, '/')
		}
		from := len(t.text)
		var ok bool
		if t.text, ok = unescape(t.text, seg, false); !ok {
			return errEncoding
		}
		if len(t.text) == from || len(t.path) == maxSegments {
			return errPath
		}
		t.path = append(t.path, lend(t.text[from:]))
	}
	t.action = lend(t.text)
	return nil
}

// params are a Data API call's query parameters that change its answer.
type params struct {
	pretty, strict, hasInput bool
	input                    []byte
}

// params reads the query. Of an input that is there twice the last counts, as in OPA; a boolean is set by its name alone
// or by "true" in any case.
func (t *dataTurn) params(query []byte) (p params, ok bool) {
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte{'&'})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		if bytes.IndexByte(name, '%') >= 0 {
			var plain [len("strict-builtin-errors")]byte
			if name, ok = unescape(plain[:0], name, true); !ok {
				return p, false
			}
		}
		switch string(name) {
		case "pretty":
			p.pretty = p.pretty || isTrue(value)
		case "strict-builtin-errors":
			p.strict = p.strict || isTrue(value)
		case "input":
			if t.value, ok = unescape(t.value[:0], value, true); !ok {
				return p, false
			}
			p.input, p.hasInput = t.value, true
		}
	}
	return p, true
}

func isTrue(v []byte) bool { return len(v) == 0 || equalFold(v, "true") }

// unescape appends b with its percent-encoding undone, and a plus read as a space in a query.
func unescape(dst, b []byte, query bool) ([]byte, bool) {
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '%':
			if i+2 >= len(b) {
				return dst, false
			}
			hi, lo := unhex(b[i+1]), unhex(b[i+2])
			if hi|lo > 15 {
				return dst, false
			}
			dst = append(dst, hi<<4|lo)
			i += 2
		case b[i] == '+' && query:
			dst = append(dst, ' ')
		default:
			dst = append(dst, b[i])
		}
	}
	return dst, true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// unpack undoes gzip, up to limit bytes.
func (t *dataTurn) unpack(b []byte, limit int) ([]byte, error) {
	t.in.Reset(b)
	if err := t.reader.Reset(&t.in); err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(t.plain[:0])
	n, err := io.Copy(out, io.LimitReader(&t.reader, int64(limit)+1))
	t.plain = out.Bytes()
	switch {
	case err != nil:
		return nil, err
	case n > int64(limit):
		return nil, errTooLong
	}
	return t.plain, nil
}

// sendPacked answers with b, by gzip if it is worth while and the client takes it.
func (t *dataTurn) sendPacked(ctx *fasthttp.RequestCtx, status int, b []byte) {
	if len(b) < packFrom {
		send(ctx, status, typeJSON, b)
		return
	}
	ctx.Response.Header.Set("Vary", "Accept-Encoding")
	if !takesGzip(ctx.Request.Header.Peek("Accept-Encoding")) {
		send(ctx, status, typeJSON, b)
		return
	}
	t.packed.Reset()
	if t.writer == nil {
		t.writer = gzip.NewWriter(&t.packed)
	} else {
		t.writer.Reset(&t.packed)
	}
	_, err := t.writer.Write(b)
	if err = errors.Join(err, t.writer.Close()); err != nil { // a buffer does not fail
		send(ctx, status, typeJSON, b)
		return
	}
	ctx.Response.Header.Set("Content-Encoding", "gzip")
	send(ctx, status, typeJSON, append(b[:0], t.packed.Bytes()...))
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3): gzip, or * without it, with a weight that is not 0.
func takesGzip(v []byte) bool {
	star := false
	for len(v) > 0 {
		var item []byte
		item, v, _ = bytes.Cut(v, []byte{','})
		name, weight, _ := bytes.Cut(item, []byte{';'})
		name = trim(name)
		if equalFold(name, "gzip") {
			return !zeroWeight(weight)
		}
		if len(name) == 1 && name[0] == '*' {
			star = !zeroWeight(weight)
		}
	}
	return star
}

// zeroWeight says whether a parameter is q=0, q=0.0 or the like.
func zeroWeight(p []byte) bool {
	name, v, ok := bytes.Cut(trim(p), []byte{'='})
	if !ok || !equalFold(trim(name), "q") {
		return false
	}
	v = trim(v)
	for _, c := range v {
		if c != '0' && c != '.' {
			return false
		}
	}
	return len(v) > 0
}
