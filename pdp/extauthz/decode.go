package extauthz

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"thymus/pdp"
)

// tape lays a CheckRequest on a pdp.Doc. Its text is the fixed words, the message as it came, and what had to be made
// from it (numbers, base64, unescaped paths); spans of strings point into the message.
//
// Two liberties of the wire format are refused, because no serialiser takes them and a second value behind a first one
// could hide it: a field that comes twice, and a map whose entries are parted by other fields.
type tape struct {
	doc     pdp.Doc
	cut     bool                // the message's end is missing: what is said to go beyond it ends with it
	keys    map[string]struct{} // of a large map
	pairs   []pair              // of a query
	scanned []pdp.Node          // of a JSON body
	claims  []pdp.Node          // of a token
}

// maxNesting bounds how deep a google.protobuf.Struct may nest.
const maxNesting = pdp.MaxDepth

// load begins a tape with a message.
func (t *tape) load(n int) {
	if cap(t.doc.Text) < len(fixed) {
		t.doc.Text = append(make([]byte, 0, len(fixed)+max(2*n, 4096)), fixed...)
	}
	t.doc.Text, t.doc.Nodes = t.doc.Text[:len(fixed)], t.doc.Nodes[:0]
}

// members lays the message that lies in the text from off to end as the members of the object that is open, and
// returns how many there are.
func (t *tape) members(off, end int, m *message) (n int, ok bool) {
	c := cursor{t.doc.Text, off, end, t.cut}
	var seen uint32
	for c.more() {
		num, wire, ok := c.tag()
		if !ok {
			return n, false
		}
		i := m.field(num)
		if i < 0 {
			if !c.skip(wire) {
				return n, false
			}
			continue
		}
		if seen&(1<<i) != 0 {
			return n, false
		}
		seen |= 1 << i
		there, ok := t.value(&c, wire, &m.fields[i])
		if !ok {
			return n, false
		}
		if there {
			n++
		}
		c.b = t.doc.Text // which may have moved
	}
	if m.folds && t.fold(int32(len(t.doc.Nodes)), m, seen) {
		n++
	}
	return n, true
}

// value lays one field; there is false where it holds what a field that is absent holds.
func (t *tape) value(c *cursor, wire uint8, f *field) (there, ok bool) {
	if f.kind == kInt || f.kind == kUint || f.kind == kBool {
		v, ok := c.varint()
		if !ok || wire != wireVarint {
			return false, false
		}
		return v != 0 || f.presence, t.number(f, v)
	}
	if wire != wireBytes {
		return false, false
	}
	switch f.kind {
	case kList:
		return true, t.list(c, f)
	case kStrings, kMessages:
		return true, t.entries(c, f)
	}
	off, end, ok := c.bytes()
	if !ok {
		return false, false
	}
	switch f.kind {
	case kString:
		if off == end && !f.presence {
			return false, true
		}
		return true, t.str(f.key, off, end)
	case kBytes:
		if off == end {
			return false, true
		}
		t.base64(f.key, off, end)
		return true, true
	}
	at := t.doc.Open(f.key, pdp.Object)
	n, ok := t.members(off, end, f.msg)
	t.doc.End(at, n)
	return true, ok
}

func (t *tape) number(f *field, v uint64) bool {
	switch {
	case f.kind == kBool:
		if v != 0 {
			t.doc.Add(f.key, pdp.True, pdp.Span{})
		}
		return true
	case v == 0 && !f.presence:
		return true
	}
	off := len(t.doc.Text)
	if f.kind == kInt {
		t.doc.Text = strconv.AppendInt(t.doc.Text, int64(v), 10)
	} else {
		t.doc.Text = strconv.AppendUint(t.doc.Text, uint64(uint32(v)), 10)
	}
	t.doc.Add(f.key, pdp.Number, span(off, len(t.doc.Text)))
	return true
}

func (t *tape) str(key pdp.Span, off, end int) bool {
	if !utf8.Valid(t.doc.Text[off:end]) {
		return false
	}
	t.doc.Add(key, pdp.String, span(off, end))
	return true
}

func (t *tape) base64(key pdp.Span, off, end int) {
	at := len(t.doc.Text)
	t.doc.Text = base64.StdEncoding.AppendEncode(t.doc.Text, t.doc.Text[off:end])
	t.doc.Add(key, pdp.String, span(at, len(t.doc.Text)))
}

// again says whether the next field is f too, and passes its tag.
func again(c *cursor, f *field) bool {
	next := *c
	num, wire, ok := next.tag()
	if !ok || num != f.num || wire != wireBytes {
		return false
	}
	*c = next
	return true
}

func (t *tape) list(c *cursor, f *field) bool {
	at, n := t.doc.Open(f.key, pdp.Array), 0
	for {
		off, end, ok := c.bytes()
		if !ok {
			return false
		}
		i := t.doc.Open(pdp.Span{}, pdp.Object)
		m, ok := t.members(off, end, f.msg)
		t.doc.End(i, m)
		n++
		if c.b = t.doc.Text; !ok {
			return false
		}
		if !again(c, f) {
			t.doc.End(at, n)
			return true
		}
	}
}

// entries lays a map: a message for each entry, its key field 1 and its value field 2.
func (t *tape) entries(c *cursor, f *field) bool {
	at, n := t.doc.Open(f.key, pdp.Object), 0
	for {
		off, end, ok := c.bytes()
		if !ok || !t.entry(off, end, f) {
			return false
		}
		n++
		c.b = t.doc.Text
		if !again(c, f) {
			t.doc.End(at, n)
			return t.distinct(at, n)
		}
	}
}

func (t *tape) entry(off, end int, f *field) bool {
	c := cursor{t.doc.Text, off, end, t.cut}
	var part [3]pdp.Span
	var seen [3]bool
	for c.more() {
		num, wire, ok := c.tag()
		if !ok {
			return false
		}
		if num > 2 {
			if !c.skip(wire) {
				return false
			}
			continue
		}
		off, end, ok := c.bytes()
		if !ok || wire != wireBytes || seen[num] {
			return false
		}
		part[num], seen[num] = span(off, end), true
	}
	key, val := part[1], part[2]
	if !utf8.Valid(t.doc.Text[key.Off : key.Off+key.Len]) {
		return false
	}
	off, end = int(val.Off), int(val.Off+val.Len)
	if f.kind == kStrings {
		return t.str(key, off, end)
	}
	at := t.doc.Open(key, pdp.Object)
	var n int
	var ok bool
	if f.msg == nil {
		n, ok = t.structure(off, end, maxNesting)
	} else {
		n, ok = t.members(off, end, f.msg)
	}
	t.doc.End(at, n)
	return ok
}

// few is how many keys are compared with each other, before a table of them pays.
const few = 48

// distinct says whether the n keys of the object at index i differ.
func (t *tape) distinct(i int32, n int) bool {
	d := &t.doc
	end := d.Nodes[i].Next
	if n <= few {
		var bits uint64
		for c := i + 1; c < end; c = d.Nodes[c].Next {
			k := d.Str(d.Nodes[c].Key)
			bit := uint64(1) << (hash(k) & 63)
			if bits&bit != 0 {
				for o := i + 1; o < c; o = d.Nodes[o].Next {
					if d.Str(d.Nodes[o].Key) == k {
						return false
					}
				}
			}
			bits |= bit
		}
		return true
	}
	if t.keys == nil {
		t.keys = make(map[string]struct{}, n)
	}
	defer clear(t.keys)
	for c := i + 1; c < end; c = d.Nodes[c].Next {
		t.keys[d.Str(d.Nodes[c].Key)] = struct{}{}
	}
	return len(t.keys) == n
}

// hash is cheap and not meant to withstand anybody: what collides is compared.
func hash(s string) uint32 {
	h := uint32(len(s))
	for i := range len(s) {
		h = h*31 + uint32(s[i])
	}
	return h ^ h>>7
}

func span(off, end int) pdp.Span { return pdp.Span{Off: uint32(off), Len: uint32(end - off)} }
