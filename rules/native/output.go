package native

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"thymus/pdp"
)

// emit appends v to the document: sets as sorted arrays, object keys in order, those that are no strings by their JSON
// text, as OPA's JSON does.
func (m *machine) emit(d *pdp.Doc, key pdp.Span, v val) {
	switch v.kind {
	case null:
		d.Add(key, pdp.Null, pdp.Span{})
	case boolean:
		k := pdp.False
		if v.n == 1 {
			k = pdp.True
		}
		d.Add(key, k, pdp.Span{})
	case number:
		off := len(d.Text)
		d.Text = appendNumber(d.Text, v)
		d.Add(key, pdp.Number, pdp.Span{Off: uint32(off), Len: uint32(len(d.Text) - off)})
	case text:
		d.Add(key, pdp.String, d.AddText(v.str()))
	case array, set:
		n := m.lower(v)
		n.sort(m, v.kind)
		i := d.Open(key, pdp.Array)
		for _, e := range n.e {
			m.emit(d, pdp.Span{}, e)
		}
		d.End(i, len(n.e))
	case object:
		n := m.lower(v)
		n.sort(m, object)
		if last := len(n.e) - 2; last >= 0 && (n.e[0].kind != text || n.e[last].kind != text) { // sorted: all are strings, or one of these is none
			m.emitOdd(d, key, n)
			return
		}
		i := d.Open(key, pdp.Object)
		for j := 0; j < len(n.e); j += 2 {
			m.emit(d, d.AddText(n.e[j].str()), n.e[j+1])
		}
		d.End(i, len(n.e)/2)
	}
}

// emitOdd appends an object with keys that are no strings, as OPA spells them: encoding/json's text, which escapes for
// HTML. Where two keys have one spelling, the last counts.
func (m *machine) emitOdd(d *pdp.Doc, key pdp.Span, n *node) {
	type member struct {
		key string
		v   val
	}
	var members []member
	for i := 0; i < len(n.e); i += 2 {
		members = append(members, member{m.keyText(n.e[i]), n.e[i+1]})
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	at, count := d.Open(key, pdp.Object), 0
	for i, x := range members {
		if i+1 < len(members) && members[i+1].key == x.key {
			continue
		}
		m.emit(d, d.AddText(x.key), x.v)
		count++
	}
	d.End(at, count)
}

func (m *machine) keyText(k val) string {
	if k.kind == text {
		return k.str()
	}
	dec := json.NewDecoder(bytes.NewReader(m.appendJSON(nil, k)))
	dec.UseNumber()
	var x any
	if dec.Decode(&x) != nil {
		return ""
	}
	b, err := json.Marshal(x)
	if err != nil {
		return ""
	}
	return string(b)
}

// appendJSON appends v as JSON text.
func (m *machine) appendJSON(dst []byte, v val) []byte {
	switch v.kind {
	case null:
		return append(dst, "null"...)
	case boolean:
		if v.n == 1 {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case number:
		return appendNumber(dst, v)
	case text:
		return pdp.AppendString(dst, v.str())
	}
	n, open, closing := m.lower(v), byte('['), byte(']')
	n.sort(m, v.kind)
	if v.kind == object {
		open, closing = '{', '}'
	}
	dst = append(dst, open)
	for i := 0; i < len(n.e); i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v.kind == object {
			if n.e[i].kind == text {
				dst = pdp.AppendString(dst, n.e[i].str())
			} else {
				dst = pdp.AppendString(dst, m.keyText(n.e[i]))
			}
			dst = append(dst, ':')
			i++
		}
		dst = m.appendJSON(dst, n.e[i])
	}
	return append(dst, closing)
}
