package extauthz

import (
	"encoding/binary"
	"math"
	"strconv"

	"thymus/pdp"
)

// structure lays the members of a google.protobuf.Struct: map<string, Value> fields = 1.
func (t *tape) structure(off, end, depth int) (n int, ok bool) {
	if depth == 0 {
		return 0, false
	}
	at := int32(len(t.doc.Nodes)) - 1 // the object that is open
	c := cursor{t.doc.Text, off, end, t.cut}
	for c.more() {
		num, wire, ok := c.tag()
		if !ok {
			return n, false
		}
		if num != 1 {
			if !c.skip(wire) {
				return n, false
			}
			continue
		}
		off, end, ok := c.bytes()
		if !ok || wire != wireBytes || !t.structEntry(off, end, depth) {
			return n, false
		}
		n++
		c.b = t.doc.Text
	}
	t.doc.End(at, n)
	return n, t.distinct(at, n)
}

func (t *tape) structEntry(off, end, depth int) bool {
	c := cursor{t.doc.Text, off, end, t.cut}
	var part [3]pdp.Span
	for c.more() {
		num, wire, ok := c.tag()
		if !ok || num > 2 || wire != wireBytes {
			return false
		}
		off, end, ok := c.bytes()
		if !ok {
			return false
		}
		part[num] = span(off, end)
	}
	key, val := part[1], part[2]
	return validText(t.doc.Str(key)) && t.dynamic(key, int(val.Off), int(val.Off+val.Len), depth)
}

// dynamic lays a google.protobuf.Value, which is one of null 1, number 2, string 3, bool 4, Struct 5, ListValue 6.
func (t *tape) dynamic(key pdp.Span, off, end, depth int) bool {
	c := cursor{t.doc.Text, off, end, t.cut}
	if !c.more() {
		t.doc.Add(key, pdp.Null, pdp.Span{})
		return true
	}
	num, wire, ok := c.tag()
	if !ok {
		return false
	}
	switch {
	case num == 1 && wire == wireVarint:
		_, ok = c.varint()
		t.doc.Add(key, pdp.Null, pdp.Span{})
	case num == 2 && wire == wireFixed8:
		if c.end-c.pos < 8 {
			return false
		}
		t.double(key, math.Float64frombits(binary.LittleEndian.Uint64(c.b[c.pos:])))
		c.pos += 8
	case num == 3 && wire == wireBytes:
		if off, end, ok = c.bytes(); ok {
			ok = t.str(key, off, end)
		}
	case num == 4 && wire == wireVarint:
		var v uint64
		v, ok = c.varint()
		k := pdp.False
		if v != 0 {
			k = pdp.True
		}
		t.doc.Add(key, k, pdp.Span{})
	case num == 5 && wire == wireBytes:
		if off, end, ok = c.bytes(); ok {
			at := t.doc.Open(key, pdp.Object)
			var n int
			n, ok = t.structure(off, end, depth-1)
			t.doc.End(at, n)
		}
	case num == 6 && wire == wireBytes:
		if off, end, ok = c.bytes(); ok {
			ok = t.dynamics(key, off, end, depth-1)
		}
	default:
		return false
	}
	return ok && !c.more()
}

// dynamics lays a google.protobuf.ListValue: repeated Value values = 1.
func (t *tape) dynamics(key pdp.Span, off, end, depth int) bool {
	if depth == 0 {
		return false
	}
	at, n := t.doc.Open(key, pdp.Array), 0
	c := cursor{t.doc.Text, off, end, t.cut}
	for c.more() {
		num, wire, ok := c.tag()
		if !ok || num != 1 || wire != wireBytes {
			return false
		}
		off, end, ok := c.bytes()
		if !ok || !t.dynamic(pdp.Span{}, off, end, depth) {
			return false
		}
		n++
		c.b = t.doc.Text
	}
	t.doc.End(at, n)
	return true
}

// double lays a number; what JSON has no number for becomes the string that protobuf's JSON form has.
func (t *tape) double(key pdp.Span, v float64) {
	off, k := len(t.doc.Text), pdp.Number
	switch {
	case math.IsNaN(v):
		t.doc.Text, k = append(t.doc.Text, "NaN"...), pdp.String
	case math.IsInf(v, 1):
		t.doc.Text, k = append(t.doc.Text, "Infinity"...), pdp.String
	case math.IsInf(v, -1):
		t.doc.Text, k = append(t.doc.Text, "-Infinity"...), pdp.String
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		t.doc.Text = strconv.AppendInt(t.doc.Text, int64(v), 10)
	default:
		t.doc.Text = strconv.AppendFloat(t.doc.Text, v, 'g', -1, 64)
	}
	t.doc.Add(key, k, span(off, len(t.doc.Text)))
}
