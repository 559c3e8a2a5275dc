package emitter

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"thymus/pdp"
)

// Bounds of the texts that an event takes from a rule, in bytes: those of pdp.Record for texts that are not constant.
// With all of them reached and every byte escaped, an event without input stays below MaxEvent.
const (
	maxReason   = 1024
	maxWarnings = 4096
)

// Rows is what the records of one snapshot refer to by number, as JSON, ready to be copied into an event. It is
// immutable.
type Rows struct {
	Seq      uint32
	Revision string
	revision []byte // JSON
	rules    []*row // those that are in several snapshots, once: see share
}

type row struct {
	policy, rule, sentence []byte // JSON
	reason                 string // as text: a warning may have to be cut
	cut                    pdp.Field
}

// A file of rows, little endian; texts are a uvarint length and their bytes:
//
//	 0  8    "thymrows"
//	 8  u32  version (1)
//	12  u32  seq
//	16  u32  length of what follows, n
//	20  n    revision; uvarint number of rows; for each row policy, rule, sentence, reason
//	20+n     u32 CRC-32C of all before it
const (
	rowsMagic   = "thymrows"
	rowsVersion = 1
	rowsFixed   = 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrRows is what every error of reading a file of rows is.
var ErrRows = errors.New("malformed rows")

// appendRows appends the file of s under seq.
func appendRows(dst []byte, s *pdp.Snapshot, seq uint32) []byte {
	start := len(dst)
	dst = append(dst, rowsMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, rowsVersion)
	dst = binary.LittleEndian.AppendUint32(dst, seq)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendText(dst, s.Revision)
	dst = binary.AppendUvarint(dst, uint64(len(s.Rules)))
	for i := range s.Rules {
		r := &s.Rules[i]
		dst = appendText(dst, r.Policy)
		dst = appendText(dst, r.ID)
		dst = appendText(dst, r.Sentence)
		dst = appendText(dst, r.Reason)
	}
	binary.LittleEndian.PutUint32(dst[start+16:], uint32(len(dst)-start-rowsFixed))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// parseRows reads a file of rows.
func parseRows(b []byte) (*Rows, error) {
	switch {
	case len(b) < rowsFixed+4 || string(b[:8]) != rowsMagic:
		return nil, fmt.Errorf("%w: no file of rows", ErrRows)
	case binary.LittleEndian.Uint32(b[8:]) != rowsVersion:
		return nil, fmt.Errorf("%w: version %d, %d expected", ErrRows, binary.LittleEndian.Uint32(b[8:]), rowsVersion)
	case uint64(len(b)) != uint64(binary.LittleEndian.Uint32(b[16:]))+rowsFixed+4:
		return nil, fmt.Errorf("%w: %d bytes, which is not what they announce", ErrRows, len(b))
	case binary.LittleEndian.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli):
		return nil, fmt.Errorf("%w: checksum", ErrRows)
	}
	r := &Rows{Seq: binary.LittleEndian.Uint32(b[12:])}
	t := texts{b: b[rowsFixed : len(b)-4]}
	r.Revision = t.next()
	r.revision = pdp.AppendString(nil, r.Revision)
	n := t.count()
	if n > uint64(len(t.b)) { // a row is four bytes at least
		return nil, fmt.Errorf("%w: %d rows in %d bytes", ErrRows, n, len(t.b))
	}
	r.rules = make([]*row, 0, n)
	for range n {
		var x row
		x.policy = x.text(t.next(), pdp.MaxName, pdp.CutPolicy)
		x.rule = x.text(t.next(), pdp.MaxName, pdp.CutRule)
		x.sentence = x.text(t.next(), maxReason, pdp.CutReason)
		x.reason = t.next()
		r.rules = append(r.rules, &x)
	}
	if t.bad || len(t.b) > 0 {
		return nil, fmt.Errorf("%w: texts do not fit", ErrRows)
	}
	return r, nil
}

// text is s as JSON, cut to what an event may hold.
func (x *row) text(s string, limit int, f pdp.Field) []byte {
	c := clip(s, limit)
	if len(c) < len(s) {
		x.cut |= f
	}
	return pdp.AppendString(nil, c)
}

func (r *Rows) at(i int32) *row {
	if r == nil || i < 0 || int(i) >= len(r.rules) {
		return nil
	}
	return r.rules[i]
}

// share takes rows of another snapshot for those that are equal, so that many snapshots that differ in little hold little
// more than one. Both are nearly always in one order; where they are not, less is shared.
func (r *Rows) share(other *Rows) {
	if other == nil {
		return
	}
	j := 0
	for i, x := range r.rules {
		for j < len(other.rules) && compareRows(other.rules[j], x) < 0 {
			j++
		}
		if j < len(other.rules) && compareRows(other.rules[j], x) == 0 {
			if y := other.rules[j]; bytes.Equal(x.sentence, y.sentence) && x.reason == y.reason && x.cut == y.cut {
				r.rules[i] = y
			}
		}
	}
}

func compareRows(a, b *row) int {
	return cmp.Or(bytes.Compare(a.policy, b.policy), bytes.Compare(a.rule, b.rule))
}

type texts struct {
	b   []byte
	bad bool
}

func (t *texts) count() uint64 {
	n, w := binary.Uvarint(t.b)
	if w <= 0 {
		t.bad, t.b = true, nil
		return 0
	}
	t.b = t.b[w:]
	return n
}

func (t *texts) next() string {
	n := t.count()
	if n > uint64(len(t.b)) {
		t.bad, t.b = true, nil
		return ""
	}
	s := string(t.b[:n])
	t.b = t.b[n:]
	return s
}

// clip is the longest prefix of s of at most n bytes that does not end inside a UTF-8 sequence.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
