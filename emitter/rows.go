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
	runs     []run  // at least one
	base     uint32 // Seq of the rows that most of these are; 0: none
	crc      uint32 // that ends the file
}

// run is rows that follow each other. Most are a stretch of the base's; see share for what else is in several snapshots
// once.
type run struct {
	first int32 // the number of its first row
	rows  []*row
}

type row struct {
	policy, rule, sentence []byte // JSON
	reason                 string // as text: a warning may have to be cut
	cut                    pdp.Field
}

// A file of rows, little endian (rowsdelta.go has the one that says what differs from another); texts are a uvarint length and their bytes:
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
	dst = appendRules(dst, s.Rules)
	return endRows(dst, start)
}

func appendRules(dst []byte, rules []pdp.Rule) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(rules)))
	for i := range rules {
		r := &rules[i]
		dst = appendText(dst, r.Policy)
		dst = appendText(dst, r.ID)
		dst = appendText(dst, r.Sentence)
		dst = appendText(dst, r.Reason)
	}
	return dst
}

// endRows ends the file that begins at start.
func endRows(dst []byte, start int) []byte {
	binary.LittleEndian.PutUint32(dst[start+16:], uint32(len(dst)-start-rowsFixed))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// parseRows reads a file of rows. known finds the rows that it may be based on.
func parseRows(b []byte, known func(seq uint32) *Rows) (*Rows, error) {
	switch {
	case len(b) < rowsFixed+4 || string(b[:8]) != rowsMagic:
		return nil, fmt.Errorf("%w: no file of rows", ErrRows)
	case binary.LittleEndian.Uint32(b[8:]) != rowsVersion && binary.LittleEndian.Uint32(b[8:]) != deltaVersion:
		return nil, fmt.Errorf("%w: version %d, %d or %d expected", ErrRows, binary.LittleEndian.Uint32(b[8:]), rowsVersion, deltaVersion)
	case uint64(len(b)) != uint64(binary.LittleEndian.Uint32(b[16:]))+rowsFixed+4:
		return nil, fmt.Errorf("%w: %d bytes, which is not what they announce", ErrRows, len(b))
	case binary.LittleEndian.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli):
		return nil, fmt.Errorf("%w: checksum", ErrRows)
	}
	r := &Rows{Seq: binary.LittleEndian.Uint32(b[12:]), crc: binary.LittleEndian.Uint32(b[len(b)-4:])}
	t := texts{b: b[rowsFixed : len(b)-4]}
	r.Revision = t.next()
	r.revision = pdp.AppendString(nil, r.Revision)
	if binary.LittleEndian.Uint32(b[8:]) == deltaVersion {
		if err := r.parseDelta(&t, known); err != nil {
			return nil, err
		}
	} else {
		r.runs = []run{{0, t.rows()}}
	}
	if t.bad || len(t.b) > 0 {
		return nil, fmt.Errorf("%w: texts do not fit", ErrRows)
	}
	return r, nil
}

// newRow is a rule as a row.
func newRow(policy, id, sentence, reason string) *row {
	x := &row{reason: reason}
	x.policy = x.text(policy, pdp.MaxName, pdp.CutPolicy)
	x.rule = x.text(id, pdp.MaxName, pdp.CutRule)
	x.sentence = x.text(sentence, maxReason, pdp.CutReason)
	return x
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
	if r == nil || i < 0 {
		return nil
	}
	lo, hi := 0, len(r.runs)-1
	for lo < hi {
		if m := int(uint(lo+hi+1) >> 1); r.runs[m].first <= i {
			lo = m
		} else {
			hi = m - 1
		}
	}
	if n := int(i - r.runs[lo].first); n < len(r.runs[lo].rows) {
		return r.runs[lo].rows[n]
	}
	return nil
}

// count is how many rows there are.
func (r *Rows) count() int {
	last := &r.runs[len(r.runs)-1]
	return int(last.first) + len(last.rows)
}

// share takes rows of another snapshot for those that are equal, so that many snapshots that differ in little hold little
// more than one. Both are nearly always in one order; where they are not, less is shared. r has no base.
func (r *Rows) share(other *Rows) {
	if other == nil {
		return
	}
	rows := r.runs[0].rows
	i := 0
	for _, o := range other.runs {
		for _, y := range o.rows {
			for i < len(rows) && compareRows(rows[i], y) < 0 {
				i++
			}
			if i < len(rows) && compareRows(rows[i], y) == 0 {
				if x := rows[i]; bytes.Equal(x.sentence, y.sentence) && x.reason == y.reason && x.cut == y.cut {
					rows[i] = y
				}
				i++
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

// rows reads a number of rows, and them.
func (t *texts) rows() []*row {
	n := t.count()
	if n > uint64(len(t.b)) { // a row is four bytes at least
		t.bad, t.b = true, nil
		return nil
	}
	rows := make([]*row, n)
	for i := range rows {
		rows[i] = newRow(t.next(), t.next(), t.next(), t.next())
	}
	return rows
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
