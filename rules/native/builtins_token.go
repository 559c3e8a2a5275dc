package native

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// tokenBuiltins read JSON inside of texts. They know what is well formed and plain; for anything else, errors included,
// OPA has the word.
var tokenBuiltins = map[string]native{
	"json.unmarshal": func(m *machine, a []val) (val, bool) { return m.unmarshal(a[0]) },
	"json.marshal":   jsonMarshal,
	"io.jwt.decode":  jwtDecode,
}

// maxDepth is how deep a value may be nested for this package to build it by recursion.
const maxDepth = 64

// jwtDecode takes a token of the compact form apart without verifying it: [header, payload, signature in hex].
func jwtDecode(m *machine, a []val) (val, bool) {
	if a[0].kind != text || a[0].n > maxConcat {
		return val{}, false
	}
	head, rest, ok := strings.Cut(a[0].str(), ".")
	body, sign, also := strings.Cut(rest, ".")
	if !ok || !also || strings.Contains(sign, ".") {
		return val{}, false
	}
	header, ok := m.encodedObject(head)
	if !ok || m.get(header, strVal("enc")).kind != undefined || m.get(header, strVal("cty")).kind != undefined {
		return val{}, false
	}
	payload, ok := m.encodedObject(body)
	if !ok {
		return val{}, false
	}
	raw, ok := m.decodeURL(strVal(sign))
	if !ok {
		return val{}, false
	}
	from := len(m.text)
	m.text = hex.AppendEncode(m.text, []byte(raw.str()))
	n := m.arena.node()
	n.e = append(n.e, header, payload, m.makeText(from))
	return nodeVal(array, n), true
}

func (m *machine) encodedObject(s string) (val, bool) {
	v, ok := m.decodeURL(strVal(s))
	if ok {
		v, ok = m.unmarshal(v)
	}
	return v, ok && v.kind == object
}

// jsonMarshal knows values whose texts have nothing to escape.
func jsonMarshal(m *machine, a []val) (val, bool) {
	if !m.plain(a[0], 0) {
		return val{}, false
	}
	from := len(m.text)
	if m.text = m.appendJSON(m.text, a[0]); len(m.text)-from > maxConcat {
		return m.giveUp(from)
	}
	return m.makeText(from), true
}

// plain says whether encoding/json writes the value as this package does.
func (m *machine) plain(v val, depth int) bool {
	switch v.kind {
	case text:
		if v.n > maxConcat {
			return false
		}
		for _, c := range []byte(v.str()) {
			if c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
				return false
			}
		}
		return true
	case null, boolean:
		return true
	case number:
		return v.isInt() || fraction(v)
	}
	n := m.lower(v)
	if depth > maxDepth || len(n.e) > maxParts || v.kind == object && !textKeys(n) {
		return false
	}
	for _, e := range n.e {
		if !m.plain(e, depth+1) {
			return false
		}
	}
	return true
}

// unmarshal reads JSON text. Strings without escapes share its memory.
func (m *machine) unmarshal(v val) (val, bool) {
	if v.kind != text || v.n > maxConcat || !utf8.ValidString(v.str()) {
		return val{}, false
	}
	r := jsonReader{m: m, s: v.str()}
	x := r.value(0)
	r.space()
	return x, !r.bad && r.i == len(r.s)
}

// jsonReader reads what RFC 8259 allows and nothing else; bad says that it gave up, for OPA to look.
type jsonReader struct {
	m   *machine
	s   string
	i   int
	bad bool
}

func (r *jsonReader) space() {
	for r.i < len(r.s) && (r.s[r.i] == ' ' || r.s[r.i] == '\n' || r.s[r.i] == '\t' || r.s[r.i] == '\r') {
		r.i++
	}
}

// next is the byte behind white space; 0 at the end.
func (r *jsonReader) next() byte {
	if r.space(); r.i < len(r.s) {
		return r.s[r.i]
	}
	return 0
}

func (r *jsonReader) fail() val {
	r.bad = true
	return val{}
}

func (r *jsonReader) value(depth int) val {
	switch c := r.next(); {
	case c == '"':
		return r.text()
	case c == '{' && depth < maxDepth:
		return r.members(depth + 1)
	case c == '[' && depth < maxDepth:
		return r.elements(depth + 1)
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	}
	for _, w := range [...]struct {
		word string
		v    val
	}{{"true", boolVal(true)}, {"false", boolVal(false)}, {"null", val{kind: null}}} {
		if strings.HasPrefix(r.s[r.i:], w.word) {
			r.i += len(w.word)
			return w.v
		}
	}
	return r.fail()
}

func (r *jsonReader) elements(depth int) val {
	n := r.m.arena.node()
	r.i++
	if r.next() == ']' {
		r.i++
		return nodeVal(array, n)
	}
	for {
		if n.e = append(n.e, r.value(depth)); r.bad {
			return val{}
		}
		c := r.next()
		r.i++
		switch c {
		case ']':
			return nodeVal(array, n)
		case ',':
		default:
			return r.fail()
		}
	}
}

// members keeps the last of equal names, as encoding/json does.
func (r *jsonReader) members(depth int) val {
	n := r.m.arena.node()
	r.i++
	if r.next() == '}' {
		r.i++
		return nodeVal(object, n)
	}
	for {
		if r.next() != '"' {
			return r.fail()
		}
		key := r.text()
		if r.bad || r.next() != ':' {
			return r.fail()
		}
		r.i++
		v := r.value(depth)
		if r.bad {
			return val{}
		}
		n.put(r.m, key, v)
		c := r.next()
		r.i++
		switch c {
		case '}':
			return nodeVal(object, n)
		case ',':
		default:
			return r.fail()
		}
	}
}

// short escapes, and what they stand for.
const escaped, unescaped = `"\/bfnrt`, "\"\\/\b\f\n\r\t"

// text reads a string; one with \u is OPA's.
func (r *jsonReader) text() val {
	start := r.i + 1
	for i := start; i < len(r.s); i++ {
		switch c := r.s[i]; {
		case c == '"':
			r.i = i + 1
			return strVal(r.s[start:i])
		case c == '\\':
			return r.escapes(start)
		case c < 0x20:
			return r.fail()
		}
	}
	return r.fail()
}

func (r *jsonReader) escapes(start int) val {
	m := r.m
	from := len(m.text)
	for i := start; i < len(r.s); i++ {
		c := r.s[i]
		switch {
		case c == '"':
			r.i = i + 1
			return m.makeText(from)
		case c == '\\' && i+1 < len(r.s):
			i++
			k := strings.IndexByte(escaped, r.s[i])
			if k < 0 {
				return r.fail()
			}
			c = unescaped[k]
		case c < 0x20:
			return r.fail()
		}
		m.text = append(m.text, c)
	}
	return r.fail()
}

func (r *jsonReader) number() val {
	start := r.i
	if r.s[r.i] == '-' {
		r.i++
	}
	whole := r.i
	if !r.digits() || r.s[whole] == '0' && r.i > whole+1 {
		return r.fail()
	}
	if r.i < len(r.s) && r.s[r.i] == '.' {
		if r.i++; !r.digits() {
			return r.fail()
		}
	}
	if r.i < len(r.s) && r.s[r.i]|0x20 == 'e' {
		if r.i++; r.i < len(r.s) && (r.s[r.i] == '+' || r.s[r.i] == '-') {
			r.i++
		}
		if !r.digits() {
			return r.fail()
		}
	}
	s := r.s[start:r.i]
	if len(s) > 6 && extremeNumber(s) {
		return r.fail()
	}
	return numVal(s)
}

func (r *jsonReader) digits() bool {
	start := r.i
	for r.i < len(r.s) && r.s[r.i]-'0' <= 9 {
		r.i++
	}
	return r.i > start
}
