package native

import (
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
		i, count := d.Open(key, pdp.Object), 0
		for j := 0; j < len(n.e); j += 2 {
			m.emit(d, m.emitKey(d, n.e[j]), n.e[j+1])
			count++
		}
		d.End(i, count)
	}
}

func (m *machine) emitKey(d *pdp.Doc, k val) pdp.Span {
	if k.kind == text {
		return d.AddText(k.str())
	}
	off := len(d.Text)
	d.Text = m.appendJSON(d.Text, k)
	return pdp.Span{Off: uint32(off), Len: uint32(len(d.Text) - off)}
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
				dst = pdp.AppendString(dst, string(m.appendJSON(nil, n.e[i])))
			}
			dst = append(dst, ':')
			i++
		}
		dst = m.appendJSON(dst, n.e[i])
	}
	return append(dst, closing)
}
