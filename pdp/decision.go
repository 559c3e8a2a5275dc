package pdp

import "encoding/binary"

// Decision is the answer to a Request. The caller owns and pools it. Its strings are lent until the call ends: they
// share memory with the snapshot, the result or the decision's own buffer.
type Decision struct {
	ID       [16]byte // a version 7 UUID: sortable by time, the rest random
	Allowed  bool
	Effect   Effect // Allow, Warn, Audit or Deny; None where an OPA document says neither yes nor no
	Audit    bool   // requires_audit
	Matched  bool   // Policy and Rule are set; they are null on every wire otherwise
	Row      int32  // row of Snapshot.Rules that decided, -1 where no row did
	Policy   string
	Rule     string
	Reason   string
	Warnings []string
	WarnRows []int32 // beside Warnings: the row whose constant text it is, or -1
	Fault    FaultCode
	Revision string
	// Quarantined says that quarantine decided (or, on the OPA surface, would have).
	Quarantined bool

	buf []byte // composed reasons; never reallocated while strings point into it: see compose
}

// Reset prepares d for another request and keeps its memory.
func (d *Decision) Reset() {
	w, r, b := d.Warnings[:0], d.WarnRows[:0], d.buf[:0]
	*d = Decision{Row: -1, Warnings: w, WarnRows: r, buf: b}
}

// compose returns the concatenation of parts, in memory that lives as long as the decision's answer. An append that
// moves the buffer leaves the old one to the strings that share it, so that all of them stay valid.
func (d *Decision) compose(parts ...string) string {
	off := len(d.buf)
	for _, p := range parts {
		d.buf = append(d.buf, p...)
	}
	return lend(d.buf[off:])
}

// AppendID appends the decision id in its canonical form of 36 characters (RFC 9562).
func (d *Decision) AppendID(dst []byte) []byte { return AppendUUID(dst, d.ID) }

// AppendUUID appends 16 bytes in the canonical 8-4-4-4-12 form.
func AppendUUID(dst []byte, id [16]byte) []byte {
	at := len(dst)
	dst = append(dst, "00000000-0000-0000-0000-000000000000"...)
	out := (*[36]byte)(dst[at:])
	hexPairs(out[0:8], id[0:4])
	hexPairs(out[9:13], id[4:6])
	hexPairs(out[14:18], id[6:8])
	hexPairs(out[19:23], id[8:10])
	hexPairs(out[24:36], id[10:16])
	return dst
}

func hexPairs(out, b []byte) {
	_ = out[2*len(b)-1]
	for i, x := range b {
		binary.LittleEndian.PutUint16(out[2*i:], hexOf[x])
	}
}

// hexOf is both digits of each byte, in the order of memory.
var hexOf = func() (t [256]uint16) {
	for i := range t {
		t[i] = uint16(hexDigits[i>>4]) | uint16(hexDigits[i&15])<<8
	}
	return t
}()

// NewID makes a version 7 UUID of a time in Unix milliseconds and two random words.
func NewID(ms int64, a, b uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], uint64(ms)<<16|0x7000|a&0x0fff)
	binary.BigEndian.PutUint64(id[8:], 1<<63|b&(1<<62-1))
	return id
}
