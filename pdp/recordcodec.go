package pdp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A decision's record in bytes, little endian; it lives in a ring whose file outlives the process, so it has a version:
//
//	 0  u8   version (1)
//	 1  u8   kind (1: decision)
//	 2  u16  flags
//	 4  u16  cut fields
//	 6  u8   surface
//	 7  u8   effect
//	 8  u8   fault
//	 9  u8   reserved, 0
//	10  u16  number of warnings
//	12  u32  seq
//	16  i64  time
//	24  i64  eval
//	32  16   id
//	48  i32  row
//	52       strings, each a uvarint length and its bytes: subject type, subject id, role, action, resource, correlation;
//	         with seq 0 the revision; with row -1 policy, rule, reason; for each warning an i32 row and, where that is
//	         -1, the text; with FlagInput the input
const (
	recordVersion = 1
	recordFixed   = 52
)

// Kinds of records, the second byte of each.
const (
	KindDecision = 1 // a Record
	KindEvent    = 2 // an Event
)

// ErrRecord is what every error of the record decoders is.
var ErrRecord = errors.New("malformed record")

// AppendRecord appends r's bytes.
func AppendRecord(dst []byte, r *Record) []byte {
	dst = append(dst, recordVersion, KindDecision)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(r.Flags))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(r.Cut))
	dst = append(dst, byte(r.Surface), byte(r.Effect), byte(r.Fault), 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.Warnings)))
	dst = binary.LittleEndian.AppendUint32(dst, r.Seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Time))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Eval))
	dst = append(dst, r.ID[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(r.Row))
	dst = appendText(dst, r.SubjectType)
	dst = appendText(dst, r.SubjectID)
	dst = appendText(dst, r.Role)
	dst = appendText(dst, r.Action)
	dst = appendText(dst, r.Resource)
	dst = appendText(dst, r.Correlation)
	if r.Seq == 0 {
		dst = appendText(dst, r.Revision)
	}
	if r.Row < 0 {
		dst = appendText(dst, r.Policy)
		dst = appendText(dst, r.Rule)
		dst = appendText(dst, r.Reason)
	}
	for i := range r.Warnings {
		w := &r.Warnings[i]
		dst = binary.LittleEndian.AppendUint32(dst, uint32(w.Row))
		if w.Row < 0 {
			dst = appendText(dst, w.Text)
		}
	}
	if r.Flags.Has(FlagInput) {
		dst = appendText(dst, lend(r.Input))
	}
	return dst
}

// ParseRecord reads a decision's record. The strings of r point into b. r.Warnings is reused.
func ParseRecord(b []byte, r *Record) error {
	w := r.Warnings[:0]
	*r = Record{Warnings: w}
	if len(b) < recordFixed {
		return fmt.Errorf("%w: %d bytes, at least %d expected", ErrRecord, len(b), recordFixed)
	}
	if b[0] != recordVersion || b[1] != KindDecision {
		return fmt.Errorf("%w: version %d kind %d, version %d kind %d expected", ErrRecord, b[0], b[1], recordVersion, KindDecision)
	}
	r.Flags = Flags(binary.LittleEndian.Uint16(b[2:]))
	r.Cut = Field(binary.LittleEndian.Uint16(b[4:]))
	r.Surface, r.Effect, r.Fault = Surface(b[6]), Effect(b[7]), FaultCode(b[8])
	warnings := int(binary.LittleEndian.Uint16(b[10:]))
	r.Seq = binary.LittleEndian.Uint32(b[12:])
	r.Time = int64(binary.LittleEndian.Uint64(b[16:]))
	r.Eval = int64(binary.LittleEndian.Uint64(b[24:]))
	copy(r.ID[:], b[32:48])
	r.Row = int32(binary.LittleEndian.Uint32(b[48:]))
	t := texts{b: b[recordFixed:]}
	t.next(&r.SubjectType)
	t.next(&r.SubjectID)
	t.next(&r.Role)
	t.next(&r.Action)
	t.next(&r.Resource)
	t.next(&r.Correlation)
	if r.Seq == 0 {
		t.next(&r.Revision)
	}
	if r.Row < 0 {
		t.next(&r.Policy)
		t.next(&r.Rule)
		t.next(&r.Reason)
	}
	for range warnings {
		x := Warning{Row: t.row()}
		if x.Row < 0 {
			t.next(&x.Text)
		}
		if t.bad {
			break
		}
		r.Warnings = append(r.Warnings, x)
	}
	if r.Flags.Has(FlagInput) {
		r.Input = t.take()
	}
	if t.bad || len(t.b) != 0 || r.Surface >= Surfaces || r.Effect > Deny || r.Fault >= faultCodes {
		return fmt.Errorf("%w: %d bytes do not hold what they announce", ErrRecord, len(b))
	}
	return nil
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// texts reads length-prefixed strings; bad once a length does not fit.
type texts struct {
	b   []byte
	bad bool
}

func (t *texts) take() []byte {
	n, w := binary.Uvarint(t.b)
	if w <= 0 || n > uint64(len(t.b)-w) {
		t.bad, t.b = true, nil
		return nil
	}
	s := t.b[w : w+int(n) : w+int(n)]
	t.b = t.b[w+int(n):]
	return s
}

func (t *texts) next(s *string) { *s = lend(t.take()) }

func (t *texts) row() int32 {
	if len(t.b) < 4 {
		t.bad, t.b = true, nil
		return -1
	}
	v := int32(binary.LittleEndian.Uint32(t.b))
	t.b = t.b[4:]
	return v
}
