package emitter

import (
	"encoding/binary"
	"fmt"

	"thymus/pdp"
)

// A file of rows that differ in little from those of another, the base, which is one of version 1. The beginning and the
// end are those of version 1; between the revision and the end:
//
//	u32  seq of the base
//	u32  the CRC-32C that ends the base's file
//	     uvarint number of steps; for each
//	       uvarint how many rows of the base are taken
//	       uvarint how many of those that follow are passed over
//	       uvarint number of rows of its own that come then, and they, as in version 1
//
// So what a change of one policy among thousands costs is in proportion to the policy.
const deltaVersion = 2

// Which rows are written whole: those of small sets, and those that differ from the base in more than a page, and more
// than a share of it.
const (
	minBase    = 16 << 10 // bytes of the base's file
	minDelta   = 4 << 10  // bytes
	deltaShare = 32       // one in so many bytes of the base's
)

// rowBase is what the next sets are compared with.
type rowBase struct {
	rows  *Rows
	rules []pdp.Rule // of its snapshot, which nothing changes
	size  int        // of its file, in bytes
}

// step is a stretch of a set of rows: some of the base's, and behind them some of its own.
type step struct {
	take, pass int
	own        []pdp.Rule
}

// steps make rules out of the base's. Both are in the order of a snapshot; in any other they are more than need be.
func steps(base, rules []pdp.Rule) (out []step) {
	for len(rules) > 0 {
		var s step
		for s.take < min(len(base), len(rules)) && sameRow(&base[s.take], &rules[s.take]) {
			s.take++
		}
		base, rules = base[s.take:], rules[s.take:]
		own := 0
		for own < len(rules) {
			if s.pass == len(base) {
				own++
				continue
			}
			was, is := &base[s.pass], &rules[own]
			if sameRow(was, is) {
				break
			}
			c := pdp.CompareRules(*was, *is)
			if c <= 0 {
				s.pass++
			}
			if c >= 0 {
				own++
			}
		}
		s.own, base, rules = rules[:own], base[s.pass:], rules[own:]
		out = append(out, s)
	}
	return out
}

// sameRow says whether two rules have one row. The texts of a rule that did not change are nearly always the same memory.
func sameRow(a, b *pdp.Rule) bool {
	return a.Policy == b.Policy && a.ID == b.ID && a.Sentence == b.Sentence && a.Reason == b.Reason
}

// appendDelta appends the file of s under seq.
func appendDelta(dst []byte, s *pdp.Snapshot, seq uint32, base *rowBase, steps []step) []byte {
	start := len(dst)
	dst = append(dst, rowsMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, deltaVersion)
	dst = binary.LittleEndian.AppendUint32(dst, seq)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendText(dst, s.Revision)
	dst = binary.LittleEndian.AppendUint32(dst, base.rows.Seq)
	dst = binary.LittleEndian.AppendUint32(dst, base.rows.crc)
	dst = binary.AppendUvarint(dst, uint64(len(steps)))
	for i := range steps {
		dst = binary.AppendUvarint(dst, uint64(steps[i].take))
		dst = binary.AppendUvarint(dst, uint64(steps[i].pass))
		dst = appendRules(dst, steps[i].own)
	}
	return endRows(dst, start)
}

// parseDelta reads what differs from the base.
func (r *Rows) parseDelta(t *texts, known func(seq uint32) *Rows) error {
	if len(t.b) < 8 {
		return fmt.Errorf("%w: no base", ErrRows)
	}
	var base *Rows
	seq, crc := binary.LittleEndian.Uint32(t.b), binary.LittleEndian.Uint32(t.b[4:])
	if known != nil {
		base = known(seq)
	}
	if base == nil || base.base != 0 || base.crc != crc {
		return fmt.Errorf("%w: seq %d, on which they are based, is not on record", ErrRows, seq)
	}
	t.b = t.b[8:]
	r.base = seq
	rest, n := base.runs[0].rows, 0
	add := func(rows []*row) {
		if len(rows) > 0 {
			r.runs = append(r.runs, run{int32(n), rows})
			n += len(rows)
		}
	}
	for range t.count() {
		take, pass := t.count(), t.count()
		if t.bad || take > uint64(len(rest)) || pass > uint64(len(rest))-take {
			return fmt.Errorf("%w: steps beyond the base", ErrRows)
		}
		add(rest[:take])
		rest = rest[take+pass:]
		add(t.rows())
	}
	if r.runs == nil {
		r.runs = []run{{}}
	}
	return nil
}
