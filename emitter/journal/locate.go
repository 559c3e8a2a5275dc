package journal

import (
	"bytes"
	"encoding/json"
)

// locate says which line of a batch is wrong when the checksum does not match. If one byte was changed, the two
// checksums' difference tells which, and the digest proves it. Else a line that is no JSON is the one; else all lines
// of the batch are named. v.buf holds the lines, b the side record.
func (s *segmentCheck) locate(b []byte, rec *Side) {
	v := s.verifier
	lines := int(rec.Events)
	known := v.known && !s.skipped
	if i, ok := changedByte(v.buf, rec.sum, func() bool {
		return !known || digest(v.prev.Head, b, v.buf) == rec.Head
	}); ok {
		line := s.line + 1 + bytes.Count(v.buf[:i.at], newline)
		v.problem(s.path, line, line, "byte %d is %#02x and was %#02x when it was written",
			i.at-bytes.LastIndexByte(v.buf[:i.at], '\n'), i.is, i.was)
		return
	}
	if head := digest(v.prev.Head, b, v.buf); known && head == rec.Head {
		v.problem(s.side, 0, 0, "the checksum of lines %d to %d is wrong, not the lines", s.line+1, s.line+lines)
		return
	}
	rest, line, found := v.buf, s.line, false
	for len(rest) > 0 {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			n = len(rest)
		}
		line++
		if !json.Valid(rest[:n]) {
			v.problem(s.path, line, line, "not the line that was written: no JSON")
			found = true
		}
		rest = rest[n:]
	}
	if !found {
		v.problem(s.path, s.line+1, s.line+lines, "not the lines that were written: checksum")
	}
}

type change struct {
	at      int
	is, was byte
}

// changedByte finds the one byte that explains why the checksum of b is not want, and puts it right in b for proof,
// which is asked whether that was it. A checksum is linear: the difference of two depends only on how the texts differ,
// and each byte behind the change turns it one step further. So the steps are taken back, and the change is where a
// single byte can have made what is left.
func changedByte(b []byte, want uint32, proof func() bool) (change, bool) {
	var byTop [256]byte // which table entry has this top byte; each has another
	for i, e := range castagnoli {
		byTop[e>>24] = byte(i)
	}
	diff := checksum(b) ^ want
	for i := len(b) - 1; i >= 0 && diff != 0; i-- {
		d := byTop[diff>>24]
		if castagnoli[d] == diff && d != 0 {
			c := change{at: i, is: b[i], was: b[i] ^ d}
			b[i] = c.was
			ok := checksum(b) == want && proof()
			b[i] = c.is
			if ok {
				return c, true
			}
		}
		// Undo one byte of zeros: crc' = table[crc & 0xff] ^ crc>>8, read backwards.
		diff = (diff^castagnoli[d])<<8 | uint32(d)
	}
	return change{}, false
}
