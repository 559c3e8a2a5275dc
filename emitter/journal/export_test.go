package journal

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
