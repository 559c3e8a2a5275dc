package native

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"
)

// textBuiltins are those over strings. What they cut out of a text shares its memory, what they make lies in
// machine.text.
var textBuiltins = map[string]native{
	"startswith": onTexts(strings.HasPrefix),
	"endswith":   onTexts(strings.HasSuffix),
	"contains":   onTexts(strings.Contains),

	"lower":       inCase('A', 'Z', strings.ToLower),
	"upper":       inCase('a', 'z', strings.ToUpper),
	"trim_space":  onText(strings.TrimSpace),
	"trim":        cut(strings.Trim),
	"trim_left":   cut(strings.TrimLeft),
	"trim_right":  cut(strings.TrimRight),
	"trim_prefix": cut(strings.TrimPrefix),
	"trim_suffix": cut(strings.TrimSuffix),

	"concat":                   concat,
	"split":                    splitText,
	"replace":                  replaceText,
	"substring":                substring,
	"indexof":                  indexOf,
	"strings.count":            countTexts,
	"strings.any_prefix_match": anyMatch(strings.HasPrefix),
	"strings.any_suffix_match": anyMatch(strings.HasSuffix),
	"format_int":               formatInt,
	"to_number":                toNumber,

	"base64.encode":           encode(func(dst, s []byte) []byte { return base64.StdEncoding.AppendEncode(dst, s) }),
	"base64url.encode":        encode(func(dst, s []byte) []byte { return base64.URLEncoding.AppendEncode(dst, s) }),
	"base64url.encode_no_pad": encode(func(dst, s []byte) []byte { return base64.RawURLEncoding.AppendEncode(dst, s) }),
	"hex.encode":              encode(hex.AppendEncode),
	"base64.decode": func(m *machine, a []val) (val, bool) {
		return m.decoded(base64.StdEncoding, a[0])
	},
	"base64url.decode": func(m *machine, a []val) (val, bool) { return m.decodeURL(a[0]) },
}

// Up to here an own implementation answers; what is larger is for whoever bounds builtins to judge: see Options.
const (
	maxConcat = 1 << 20 // bytes made
	maxParts  = 1 << 12 // elements made, or comparisons
)

func onTexts(f func(s, t string) bool) native {
	return func(_ *machine, a []val) (val, bool) {
		if !bothTexts(a[0], a[1]) {
			return val{}, false
		}
		return boolVal(f(a[0].str(), a[1].str())), true
	}
}

func onText(f func(string) string) native {
	return func(_ *machine, a []val) (val, bool) {
		if a[0].kind != text {
			return val{}, false
		}
		return strVal(f(a[0].str())), true
	}
}

// inCase changes letters from one to another, which are all there are of what changes, where a text is ASCII. Where nothing
// changes, the text is the same.
func inCase(first, last byte, f func(string) string) native {
	return func(m *machine, a []val) (val, bool) {
		if a[0].kind != text {
			return val{}, false
		}
		s, changes := a[0].str(), false
		for i := range len(s) {
			if s[i] >= utf8.RuneSelf {
				return strVal(f(s)), true
			}
			changes = changes || s[i] >= first && s[i] <= last
		}
		if !changes || a[0].n > maxConcat {
			return strVal(f(s)), true
		}
		from := len(m.text)
		for i := range len(s) {
			c := s[i]
			if c >= first && c <= last {
				c ^= 0x20
			}
			m.text = append(m.text, c)
		}
		return m.makeText(from), true
	}
}

func cut(f func(s, cut string) string) native {
	return func(_ *machine, a []val) (val, bool) {
		if !bothTexts(a[0], a[1]) {
			return val{}, false
		}
		return strVal(f(a[0].str(), a[1].str())), true
	}
}

// encode makes text of text; what it makes is at most three times as long.
func encode(f func(dst, s []byte) []byte) native {
	return func(m *machine, a []val) (val, bool) {
		if a[0].kind != text || a[0].n > maxConcat {
			return val{}, false
		}
		from := len(m.text)
		m.text = f(m.text, []byte(a[0].str()))
		return m.makeText(from), true
	}
}

func (m *machine) decoded(enc *base64.Encoding, v val) (val, bool) {
	if v.kind != text || v.n > maxConcat {
		return val{}, false
	}
	from := len(m.text)
	var err error
	if m.text, err = enc.AppendDecode(m.text, []byte(v.str())); err != nil {
		m.text = m.text[:from]
		return val{}, false
	}
	return m.makeText(from), true
}

// decodeURL takes base64url with and without its padding, as OPA does.
func (m *machine) decodeURL(v val) (val, bool) {
	switch {
	case v.kind != text || strings.ContainsAny(v.str(), "\r\n"):
		return val{}, false
	case strings.HasSuffix(v.str(), "=") || v.n%4 == 0:
		return m.decoded(base64.URLEncoding, v)
	}
	return m.decoded(base64.RawURLEncoding, v)
}

// makeText is a text that an evaluation made of m.text[from:].
func (m *machine) makeText(from int) val {
	b := m.text[from:]
	if len(b) == 0 {
		return val{kind: text}
	}
	return lentText(b)
}

func concat(m *machine, a []val) (val, bool) {
	if a[0].kind != text || a[1].kind != array && a[1].kind != set {
		return val{}, false
	}
	n := m.lower(a[1])
	n.sort(m, a[1].kind)
	size := 0
	for _, e := range n.e {
		if e.kind != text {
			return val{}, false
		}
		size += int(e.n + a[0].n)
	}
	if size > maxConcat {
		return val{}, false
	}
	from := len(m.text)
	for i, e := range n.e {
		if i > 0 {
			m.text = append(m.text, a[0].str()...)
		}
		m.text = append(m.text, e.str()...)
	}
	return m.makeText(from), true
}

func splitText(m *machine, a []val) (val, bool) {
	if !bothTexts(a[0], a[1]) || a[1].n == 0 || a[0].n > maxConcat {
		return val{}, false
	}
	s, d := a[0].str(), a[1].str()
	if strings.Count(s, d) >= maxParts {
		return val{}, false
	}
	n := m.arena.node()
	for {
		before, after, more := strings.Cut(s, d)
		n.e = append(n.e, strVal(before))
		if !more {
			return nodeVal(array, n), true
		}
		s = after
	}
}

func replaceText(m *machine, a []val) (val, bool) {
	if !bothTexts(a[0], a[1]) || a[2].kind != text || a[1].n == 0 || a[0].n > maxConcat {
		return val{}, false
	}
	s, old, by := a[0].str(), a[1].str(), a[2].str()
	count := strings.Count(s, old)
	if count == 0 {
		return a[0], true
	}
	if len(by) > maxConcat/count {
		return val{}, false
	}
	from := len(m.text)
	for range count {
		before, after, _ := strings.Cut(s, old)
		m.text = append(append(m.text, before...), by...)
		s = after
	}
	m.text = append(m.text, s...)
	return m.makeText(from), true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// substring counts characters, which are bytes where all are ASCII.
func substring(_ *machine, a []val) (val, bool) {
	if a[0].kind != text || !a[1].isInt() || !a[2].isInt() || a[1].n < 0 || !isASCII(a[0].str()) {
		return val{}, false
	}
	s := a[0].str()
	s = s[min(a[1].n, int64(len(s))):]
	if a[2].n >= 0 {
		s = s[:min(a[2].n, int64(len(s)))]
	}
	return strVal(s), true
}

func indexOf(_ *machine, a []val) (val, bool) {
	if !bothTexts(a[0], a[1]) || a[1].n == 0 || !isASCII(a[0].str()) || !isASCII(a[1].str()) {
		return val{}, false
	}
	return intVal(int64(strings.Index(a[0].str(), a[1].str()))), true
}

func countTexts(_ *machine, a []val) (val, bool) {
	if !bothTexts(a[0], a[1]) {
		return val{}, false
	}
	return intVal(int64(strings.Count(a[0].str(), a[1].str()))), true
}

// anyMatch asks of a text, or of several, whether one begins or ends with one of the others.
func anyMatch(f func(s, affix string) bool) native {
	return func(m *machine, a []val) (val, bool) {
		var one [2][1]val
		ss, ok := m.texts(a[0], &one[0])
		if !ok {
			return val{}, false
		}
		affixes, ok := m.texts(a[1], &one[1])
		if !ok || len(ss)*len(affixes) > maxParts {
			return val{}, false
		}
		for i := range ss {
			for j := range affixes {
				if f(ss[i].str(), affixes[j].str()) {
					return boolVal(true), true
				}
			}
		}
		return boolVal(false), true
	}
}

// texts is the texts of a collection that has nothing else, or the one.
func (m *machine) texts(v val, one *[1]val) ([]val, bool) {
	switch v.kind {
	case text:
		one[0] = v
		return one[:], true
	case array, set:
		e := m.lower(v).e
		for i := range e {
			if e[i].kind != text {
				return nil, false
			}
		}
		return e, true
	}
	return nil, false
}

func formatInt(m *machine, a []val) (val, bool) {
	if !a[0].isInt() || !a[1].isInt() {
		return val{}, false
	}
	switch a[1].n {
	case 2, 8, 10, 16:
		from := len(m.text)
		m.text = strconv.AppendInt(m.text, a[0].n, int(a[1].n))
		return m.makeText(from), true
	}
	return val{}, false
}

// toNumber knows integers in the text that they would be printed as, and decimals that JSON has.
func toNumber(_ *machine, a []val) (val, bool) {
	switch a[0].kind {
	case null, boolean:
		return intVal(a[0].n), true
	case number:
		return a[0], true
	case text:
		s := a[0].str()
		if n, ok := parseInt(s); ok && (s[0] != '0' || len(s) == 1) {
			return intVal(n), true
		}
		r := jsonReader{s: s}
		if len(s) == 0 || len(s) > longDecimal || s[0] != '-' && s[0]-'0' > 9 {
			return val{}, false
		}
		v := r.number()
		return v, !r.bad && r.i == len(s) && fraction(v)
	}
	return val{}, false
}
