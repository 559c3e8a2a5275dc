package load

import (
	"thymus/bench/workload"
)

// appendCheck appends an envoy.service.auth.v3.CheckRequest in protobuf's wire format: the attributes that Envoy sends
// for a request with no body. The numbers of the fields are those of Envoy's external_auth.proto and
// attribute_context.proto.
func appendCheck(dst []byte, r *workload.Request, host string) []byte {
	header := func(dst []byte, name, value string) []byte {
		return field(dst, 3, field(field(nil, 1, []byte(name)), 2, []byte(value)))
	}
	var web []byte
	web = field(web, 1, []byte("1"))
	web = field(web, 2, []byte(r.Action))
	for _, h := range [...][2]string{{":method", r.Action}, {":path", r.Resource}, {":authority", host}, {":scheme", "http"},
		{SubjectHeader, r.Subject}, {RoleHeader, r.Role}} {
		if h[1] != "" {
			web = header(web, h[0], h[1])
		}
	}
	web = field(web, 4, []byte(r.Resource))
	web = field(web, 5, []byte(host))
	web = field(web, 6, []byte("http"))
	web = field(web, 10, []byte("HTTP/1.1"))
	peer := func(port int) []byte {
		socket := field(nil, 2, []byte("127.0.0.1"))
		socket = uvarint(append(socket, 3<<3), uint64(port))
		return field(nil, 1, field(nil, 1, socket))
	}
	attributes := field(nil, 1, peer(40000))
	attributes = field(attributes, 2, peer(80))
	attributes = field(attributes, 4, field(nil, 2, web))
	return field(dst, 1, attributes)
}

// field appends a length-delimited field.
func field(dst []byte, number int, value []byte) []byte {
	dst = uvarint(dst, uint64(number)<<3|2)
	dst = uvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

func uvarint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// readCheck reads a CheckResponse: status (field 1) with code (field 1) 0 permits, another denies. ok is false where the
// message cannot be read.
func readCheck(m []byte) (v Verdict, ok bool) {
	status, ok := message(m, 1)
	if !ok {
		return Unknown, false
	}
	for len(status) > 0 {
		number, value, rest, ok := nextField(status)
		if !ok {
			return Unknown, false
		}
		if status = rest; number == 1 && value.bytes == nil {
			return verdict(value.number == 0), true
		}
	}
	return Permit, true
}

// message is the last length-delimited field of a number; empty where there is none.
func message(m []byte, want uint64) (found []byte, ok bool) {
	for len(m) > 0 {
		number, value, rest, ok := nextField(m)
		if !ok {
			return nil, false
		}
		if m = rest; number == want && value.bytes != nil {
			found = value.bytes
		}
	}
	return found, true
}

// wireValue is a field's value: bytes where it has a length, else a number.
type wireValue struct {
	bytes  []byte
	number uint64
}

func nextField(m []byte) (number uint64, v wireValue, rest []byte, ok bool) {
	tag, m, ok := readUvarint(m)
	if !ok {
		return 0, v, nil, false
	}
	fixed := 0
	switch tag & 7 {
	case 0:
		v.number, m, ok = readUvarint(m)
		return tag >> 3, v, m, ok
	case 1:
		fixed = 8
	case 5:
		fixed = 4
	case 2:
		n, body, ok := readUvarint(m)
		if !ok || n > uint64(len(body)) {
			return 0, v, nil, false
		}
		v.bytes = body[:n:n]
		return tag >> 3, v, body[n:], true
	default:
		return 0, v, nil, false
	}
	if len(m) < fixed {
		return 0, v, nil, false
	}
	return tag >> 3, v, m[fixed:], true
}

func readUvarint(m []byte) (v uint64, rest []byte, ok bool) {
	for i := 0; i < len(m) && i < 10; i++ {
		v |= uint64(m[i]&0x7f) << (7 * i)
		if m[i] < 0x80 {
			return v, m[i+1:], true
		}
	}
	return 0, nil, false
}
