package rules

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"thymus/pdp"
)

// maxDocDepth bounds the nesting of policies and data files; it keeps the parsers' recursion small.
const maxDocDepth = 200

// parseJSON reads one JSON document (RFC 8259) with the place of every value. It is stricter than encoding/json:
// duplicate keys and invalid UTF-8 are refused.
func parseJSON(src []byte) (*node, *Problem) {
	p := jsonParser{src: src, line: 1}
	p.space()
	n := p.value(0)
	if p.bad == nil {
		p.space()
		if p.pos < len(p.src) {
			p.fail("text behind the document")
		}
	}
	if p.bad != nil {
		return nil, p.bad
	}
	return n, nil
}

type jsonParser struct {
	src       []byte
	pos       int
	line      int
	lineStart int
	counted   int // bytes of src up to which col has counted
	runes     int // characters from lineStart to there
	bad       *Problem
}

func (p *jsonParser) fail(format string, args ...any) *node {
	if p.bad == nil {
		p.bad = &Problem{Line: p.line, Column: p.col(), Detail: fmt.Sprintf(format, args...)}
	}
	return nil
}

// col counts on from where it was asked last: a document on one line would cost the square of its length otherwise.
func (p *jsonParser) col() int {
	if p.counted < p.lineStart || p.counted > p.pos {
		p.counted, p.runes = p.lineStart, 0
	}
	p.runes += utf8.RuneCount(p.src[p.counted:p.pos])
	p.counted = p.pos
	return p.runes + 1
}

func (p *jsonParser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case '\n':
			p.line, p.lineStart = p.line+1, p.pos+1
		case ' ', '\t', '\r':
		default:
			return
		}
		p.pos++
	}
}

func (p *jsonParser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *jsonParser) value(depth int) *node {
	if depth > maxDocDepth {
		return p.fail("nested deeper than %d levels", maxDocDepth)
	}
	n := &node{line: p.line, col: p.col()}
	switch c := p.peek(); {
	case c == '{':
		return p.object(n, depth)
	case c == '[':
		return p.array(n, depth)
	case c == '"':
		n.kind, n.text = pdp.String, p.str()
	case c == '-' || c >= '0' && c <= '9':
		n.kind, n.text = pdp.Number, p.number()
	case p.word("true"):
		n.kind = pdp.True
	case p.word("false"):
		n.kind = pdp.False
	case p.word("null"):
		n.kind = pdp.Null
	case p.pos >= len(p.src):
		return p.fail("the document ends where a value is expected")
	default:
		return p.fail("expected a JSON value, found %q", p.runeAt())
	}
	return n
}

func (p *jsonParser) runeAt() rune { r, _ := utf8.DecodeRune(p.src[p.pos:]); return r }

func (p *jsonParser) word(w string) bool {
	if !strings.HasPrefix(string(p.src[p.pos:min(len(p.src), p.pos+len(w))]), w) {
		return false
	}
	p.pos += len(w)
	return true
}

func (p *jsonParser) object(n *node, depth int) *node {
	n.kind = pdp.Object
	var seen map[string]bool
	p.pos++
	p.space()
	for first := true; p.bad == nil; first = false {
		if p.peek() == '}' {
			if !first {
				return p.fail("expected a member behind the comma")
			}
			p.pos++
			return n
		}
		if p.peek() != '"' {
			return p.fail("expected a member name in quotes")
		}
		m := member{line: p.line, col: p.col()}
		if m.key = p.str(); p.bad != nil {
			return nil
		}
		if seen == nil {
			seen = make(map[string]bool, 8)
		}
		if seen[m.key] {
			p.bad = &Problem{Line: m.line, Column: m.col, Detail: "the key " + strconv.Quote(m.key) + " stands here twice"}
			return nil
		}
		seen[m.key] = true
		p.space()
		if p.peek() != ':' {
			return p.fail("expected a colon behind the member name")
		}
		p.pos++
		p.space()
		m.value = p.value(depth + 1)
		if p.bad != nil {
			return nil
		}
		n.members = append(n.members, m)
		p.space()
		if done := p.next('}'); done || p.bad != nil {
			return n
		}
	}
	return nil
}

func (p *jsonParser) array(n *node, depth int) *node {
	n.kind = pdp.Array
	p.pos++
	p.space()
	if p.peek() == ']' {
		p.pos++
		return n
	}
	for {
		item := p.value(depth + 1)
		if p.bad != nil {
			return nil
		}
		n.items = append(n.items, item)
		p.space()
		if done := p.next(']'); done || p.bad != nil {
			return n
		}
	}
}

// next takes a comma, or the closing byte and says so.
func (p *jsonParser) next(closing byte) (done bool) {
	switch p.peek() {
	case closing:
		p.pos++
		return true
	case ',':
		p.pos++
		p.space()
		return false
	}
	p.fail("expected a comma or %q", closing)
	return false
}

func (p *jsonParser) number() string {
	start := p.pos
	for p.pos < len(p.src) && strings.IndexByte("+-.eE0123456789", p.src[p.pos]) >= 0 {
		p.pos++
	}
	text := string(p.src[start:p.pos])
	if !isNumber(text) {
		p.pos = start
		p.fail("%q is no JSON number", text)
	}
	return text
}

// isNumber says whether text is a JSON number, of a size that arithmetic can bear.
func isNumber(text string) bool {
	s := strings.TrimPrefix(text, "-")
	whole := digits(s)
	if whole == 0 || whole > 1 && s[0] == '0' {
		return false
	}
	if s = s[whole:]; strings.HasPrefix(s, ".") {
		n := digits(s[1:])
		if n == 0 {
			return false
		}
		s = s[1+n:]
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		n := digits(s)
		if n == 0 || n > 4 {
			return false
		}
		s = s[n:]
	}
	return s == "" && len(text) <= 1000
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func (p *jsonParser) str() string {
	p.pos++
	start := p.pos
	var buf []byte
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		switch {
		case c == '"':
			s := string(append(buf, p.src[start:p.pos]...))
			p.pos++
			return s
		case c == '\\':
			buf = append(buf, p.src[start:p.pos]...)
			buf = p.escape(buf)
			start = p.pos
			if p.bad != nil {
				return ""
			}
		case c < 0x20:
			p.fail("a control character stands in a string; write it as an escape")
			return ""
		case c < utf8.RuneSelf:
			p.pos++
		default:
			r, size := utf8.DecodeRune(p.src[p.pos:])
			if r == utf8.RuneError && size == 1 {
				p.fail("a string that is not valid UTF-8")
				return ""
			}
			p.pos += size
		}
	}
	p.fail("a string that does not end")
	return ""
}

func (p *jsonParser) escape(buf []byte) []byte {
	if p.pos+1 >= len(p.src) {
		p.fail("a string that does not end")
		return buf
	}
	c := p.src[p.pos+1]
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		p.pos += 2
		return append(buf, "\"\\/\b\f\n\r\t"[i])
	}
	if c == 'u' {
		if r, ok := p.hex4(p.pos + 2); ok {
			p.pos += 6
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if p.pos+1 < len(p.src) && p.src[p.pos] == '\\' && p.src[p.pos+1] == 'u' {
					low, ok = p.hex4(p.pos + 2)
				}
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					p.fail("half of a surrogate pair in a string")
					return buf
				}
				p.pos += 6
			}
			return utf8.AppendRune(buf, r)
		}
	}
	p.fail("an escape that JSON does not know")
	return buf
}

func (p *jsonParser) hex4(at int) (rune, bool) {
	if at+4 > len(p.src) {
		return 0, false
	}
	u, err := strconv.ParseUint(string(p.src[at:at+4]), 16, 16)
	return rune(u), err == nil
}
