package extauthz

// Wire types of protobuf (https://protobuf.dev/programming-guides/encoding/).
const (
	wireVarint = 0
	wireFixed8 = 1
	wireBytes  = 2
	wireFixed4 = 5
)

// cursor reads the fields of one message, which lies in b from pos to end:
//
//	tag: number<<3 | wire type (varint) | value: a varint, 8 or 4 bytes, or a length (varint) and as many bytes
//
// A method that returns false has met the end of the message in the middle of a field, or a wire type of no known kind.
type cursor struct {
	b        []byte
	pos, end int
	cut      bool // what is said to go beyond the end ends there
}

func (c *cursor) more() bool { return c.pos < c.end }

func (c *cursor) varint() (v uint64, ok bool) {
	if c.pos < c.end && c.b[c.pos] < 0x80 { // most are one byte
		c.pos++
		return uint64(c.b[c.pos-1]), true
	}
	return c.long()
}

func (c *cursor) long() (v uint64, ok bool) {
	for shift := uint(0); shift < 64; shift += 7 {
		if c.pos >= c.end {
			return 0, false
		}
		x := c.b[c.pos]
		c.pos++
		v |= uint64(x&0x7f) << shift
		if x < 0x80 {
			return v, shift < 63 || x <= 1
		}
	}
	return 0, false
}

func (c *cursor) tag() (num uint32, wire uint8, ok bool) {
	v, ok := c.varint()
	if !ok || v>>3 == 0 || v>>3 > 1<<29-1 {
		return 0, 0, false
	}
	return uint32(v >> 3), uint8(v & 7), true
}

// bytes is where the content of a length-delimited field begins and ends.
func (c *cursor) bytes() (off, end int, ok bool) {
	n, ok := c.varint()
	if !ok || n > uint64(c.end-c.pos) && !c.cut {
		return 0, 0, false
	}
	n = min(n, uint64(c.end-c.pos))
	off = c.pos
	c.pos += int(n)
	return off, c.pos, true
}

// skip passes a field that nobody knows. Groups, which proto3 does not have, are refused.
func (c *cursor) skip(wire uint8) (ok bool) {
	switch wire {
	case wireVarint:
		_, ok = c.varint()
	case wireFixed8:
		ok = c.end-c.pos >= 8
		c.pos += 8
	case wireFixed4:
		ok = c.end-c.pos >= 4
		c.pos += 4
	case wireBytes:
		_, _, ok = c.bytes()
	}
	return ok
}
