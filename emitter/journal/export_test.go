package journal

import "encoding/binary"

// Planted breaks a step of the protocol, so that tests can show that they would notice.
func Planted(o Options, mutation string) Options {
	switch mutation {
	case "side record before its lines":
		o.sideFirst = true
	case "withdrawn lines stay":
		o.noWithdraw = true
	case "side records are believed":
		o.sideFirst, o.noCheck = true, true
	}
	return o
}

// WithoutDigest leaves the chain out, for the benchmark that says what it costs.
func WithoutDigest(o Options) Options {
	o.noDigest = true
	return o
}

// DecodeSide decodes and encodes again: for the fuzzer.
func DecodeSide(b []byte) ([]byte, error) {
	var s Side
	if err := s.decode(b); err != nil {
		return nil, err
	}
	var out [sideSize]byte
	s.put(&out)
	s.seal(&out)
	return out[:], nil
}

// DecodeSlot decodes and encodes again: for the fuzzer.
func DecodeSlot(b []byte) ([]byte, error) {
	t, size, gen, err := decodeSlot(b)
	if err != nil {
		return nil, err
	}
	return appendSlot(nil, &t, size, gen), nil
}

// Reseal makes the checksums of all whole records in a side file right, and those of the lines where they exist: so that
// a fuzzer gets behind them.
func Reseal(side, lines []byte) []byte {
	side = append([]byte(nil), side...)
	le := binary.LittleEndian
	for b := side; len(b) >= sideSize; b = b[sideSize:] {
		le.PutUint32(b, sideMagic)
		le.PutUint16(b[4:], sideVersion)
		le.PutUint32(b[8:], sideSize)
		off, n := le.Uint64(b[32:]), uint64(le.Uint32(b[40:]))
		if off <= uint64(len(lines)) && n <= uint64(len(lines))-off {
			le.PutUint32(b[12:], checksum(lines[off:off+n]))
		}
		le.PutUint32(b[252:], checksum(b[:252]))
	}
	return side
}

// ResealSlot does the same for a slot of a sink's file.
func ResealSlot(b []byte) []byte {
	b = append([]byte(nil), b...)
	le := binary.LittleEndian
	if len(b) >= slotFixed+4 {
		le.PutUint32(b, slotMagic)
		le.PutUint32(b[4:], slotVersion)
		if n := slotFixed + slotPart*int64(le.Uint32(b[68:])) + 4; n <= int64(len(b)) {
			le.PutUint32(b[12:], uint32(n))
			le.PutUint32(b[n-4:], checksum(b[:n-4]))
		}
	}
	return b
}

// OfVersion makes whole records of a side file, or slots of a sink's file, look as if another version had written them.
func OfVersion(b []byte, v uint16) []byte {
	le := binary.LittleEndian
	for i := 0; i+sideSize <= len(b); i += sideSize {
		if le.Uint32(b[i:]) == sideMagic {
			le.PutUint16(b[i+4:], v)
			le.PutUint32(b[i+252:], checksum(b[i:i+252]))
		}
		if le.Uint32(b[i:]) == slotMagic {
			le.PutUint16(b[i+4:], v)
		}
	}
	return b
}
