package extauthz

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"thymus/pdp"
)

// fold lays headers where a proxy sent headerMap alone (encode_raw_headers), so that a policy reads them by name either
// way: values of one name joined by commas, as Envoy joins them. end is where the object's members end so far, the list
// among them; it says whether it laid anything.
func (t *tape) fold(end int32, m *message, seen uint32) bool {
	d := &t.doc
	if raw := m.field(13); seen&(1<<raw) == 0 || seen&(1<<m.field(3)) != 0 {
		return false
	}
	list := int32(-1)
	for i := end - 1; i >= 0; i-- { // the list's own key is the only one of this name on the tape here
		if d.Nodes[i].Kind == pdp.Array && d.Str(d.Nodes[i].Key) == "headers" && d.Nodes[i].Next == end {
			list = i
		}
	}
	if list < 0 {
		return false
	}
	pairs := t.pairs[:0]
	for c := list + 1; c < end; c = d.Nodes[c].Next {
		p := pair{next: -1, last: -1}
		p.key = text(d, d.Member(c, "key"))
		if p.val = text(d, d.Member(c, "value")); p.val.Len == 0 {
			p.val = t.unraw(text(d, d.Member(c, "rawValue")))
		}
		pairs = append(pairs, p)
	}
	at := d.Open(m.fields[m.field(3)].key, pdp.Object)
	n := 0
	t.chains(pairs)
	for i := range pairs {
		if pairs[i].later {
			continue
		}
		val := pairs[i].val
		if j := pairs[i].next; j >= 0 {
			off := len(d.Text)
			d.Text = append(d.Text, d.Str(val)...)
			for ; j >= 0; j = pairs[j].next {
				d.Text = append(append(d.Text, ','), d.Str(pairs[j].val)...)
			}
			val = span(off, len(d.Text))
		}
		d.Add(pairs[i].key, pdp.String, val)
		n++
	}
	d.End(at, n)
	clear(pairs)
	t.pairs = pairs[:0]
	return true
}

// unraw is the text behind a value in base64; what is no UTF-8 is replaced.
func (t *tape) unraw(s pdp.Span) pdp.Span {
	d := &t.doc
	off := len(d.Text)
	b, err := base64.StdEncoding.AppendDecode(d.Text, d.Text[s.Off:s.Off+s.Len])
	if err != nil {
		return pdp.Span{} // our own encoding
	}
	if d.Text = b; !utf8.Valid(b[off:]) {
		d.Text = append(d.Text[:off], strings.ToValidUTF8(string(b[off:]), "\ufffd")...)
	}
	return span(off, len(d.Text))
}
