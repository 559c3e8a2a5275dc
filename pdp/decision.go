package pdp

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
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst
}

// NewID makes a version 7 UUID of a time in Unix milliseconds and two random words.
func NewID(ms int64, a, b uint64) (id [16]byte) {
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6], id[7] = 0x70|byte(a>>8)&0x0f, byte(a)
	for i := range 8 {
		id[8+i] = byte(b >> (56 - 8*i))
	}
	id[8] = 0x80 | id[8]&0x3f
	return id
}
