package extauthz

import (
	"bytes"
	"strings"

	"thymus/pdp"
)

// parsedPath lays the raw path's segments, unescaped, without the slashes it begins with: what opa-envoy-plugin calls
// parsed_path. It fails on an escape that is none, and on what is no UTF-8 once unescaped.
func (t *tape) parsedPath(key pdp.Span, raw string) bool {
	d := &t.doc
	off := len(d.Text)
	if !t.unescape(raw, false) {
		return false
	}
	end := len(d.Text)
	for off < end && d.Text[off] == '/' {
		off++
	}
	at, n := d.Open(key, pdp.Array), 0
	for {
		n++
		i := bytes.IndexByte(d.Text[off:end], '/')
		if i < 0 {
			d.Add(pdp.Span{}, pdp.String, span(off, end))
			d.End(at, n)
			return true
		}
		d.Add(pdp.Span{}, pdp.String, span(off, off+i))
		off += i + 1
	}
}

// parsedQuery lays the query's parameters, an array of values each, as Go's url.ParseQuery reads them: + is a space, a
// semicolon and an escape that is none are errors.
func (t *tape) parsedQuery(key pdp.Span, query string) bool {
	d := &t.doc
	at := d.Open(key, pdp.Object)
	n, ok := t.form(query)
	d.End(at, n)
	return ok
}

// form lays the parameters of a query or a form as members of the object that is open.
func (t *tape) form(query string) (n int, ok bool) {
	pairs := t.pairs[:0]
	defer func() { clear(pairs); t.pairs = pairs[:0] }()
	for query != "" {
		var part string
		part, query, _ = strings.Cut(query, "&")
		if strings.IndexByte(part, ';') >= 0 {
			return 0, false
		}
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		p := pair{next: -1, last: -1}
		if p.key, ok = t.piece(k); !ok {
			return 0, false
		}
		if p.val, ok = t.piece(v); !ok {
			return 0, false
		}
		pairs = append(pairs, p)
	}
	return t.group(pairs), true
}

// pair is a parameter: spans of the text, and the index of the next one of the same name.
type pair struct {
	key, val   pdp.Span
	next, last int // last: in the first of a name, the index of the last one
	later      bool
}

// chains finds pairs of one name.
func (t *tape) chains(pairs []pair) {
	d := &t.doc
	if len(pairs) > few {
		first := make(map[string]int, len(pairs))
		for i := range pairs {
			k := d.Str(pairs[i].key)
			if f, ok := first[k]; ok {
				chain(pairs, f, i)
			} else {
				first[k] = i
			}
		}
		return
	}
	for i := 1; i < len(pairs); i++ {
		for f := range i {
			if !pairs[f].later && d.Str(pairs[f].key) == d.Str(pairs[i].key) {
				chain(pairs, f, i)
				break
			}
		}
	}
}

// group lays pairs by name, in the order of their first ones.
func (t *tape) group(pairs []pair) (n int) {
	d := &t.doc
	t.chains(pairs)
	for i := range pairs {
		if pairs[i].later {
			continue
		}
		at, m := d.Open(pairs[i].key, pdp.Array), 0
		for j := i; j >= 0; j = pairs[j].next {
			d.Add(pdp.Span{}, pdp.String, pairs[j].val)
			m++
		}
		d.End(at, m)
		n++
	}
	return n
}

func chain(pairs []pair, first, i int) {
	last := pairs[first].last
	if last < 0 {
		last = first
	}
	pairs[last].next, pairs[first].last, pairs[i].later = i, i, true
}

// piece is the span of an unescaped name or value.
func (t *tape) piece(s string) (pdp.Span, bool) {
	off := len(t.doc.Text)
	ok := t.unescape(s, true)
	return span(off, len(t.doc.Text)), ok
}

// unescape appends s, unescaped, to the text.
func (t *tape) unescape(s string, plus bool) bool {
	d := &t.doc
	off := len(d.Text)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			if i+2 >= len(s) {
				return false
			}
			hi, lo := nibble(s[i+1]), nibble(s[i+2])
			if hi > 15 || lo > 15 {
				return false
			}
			c = hi<<4 | lo
			i += 2
		case c == '+' && plus:
			c = ' '
		}
		d.Text = append(d.Text, c)
	}
	return validText(d.Str(span(off, len(d.Text))))
}
