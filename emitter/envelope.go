package emitter

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"thymus/pdp"
)

// MaxEvent is the largest line of the journal, its newline not counted, in bytes (CONTRACT 1).
const MaxEvent = 64 << 10

// The types of the events that a decision leaves.
const (
	TypeEvaluated = "policy.evaluated"
	TypeDenied    = "policy.denied"
	TypeWarning   = "policy.warning_triggered"
	TypeAudit     = "policy.audit_required"
)

var idPrefixes = [pdp.Sources]string{`{"id":"evt_policy_`, `{"id":"evt_threat_`, `{"id":"evt_immune_`}

// appendHead appends an envelope up to and with the opening of its payload's value.
func appendHead(dst []byte, src pdp.Source, at *stamp, id uint64, typ string) []byte {
	dst = append(dst, idPrefixes[src]...)
	dst = at.millis(dst)
	dst = append(dst, '_')
	dst = appendHex(dst, id)
	dst = append(dst, `","type":`...)
	dst = pdp.AppendString(dst, typ)
	dst = append(dst, `,"source":"`...)
	dst = append(dst, src.String()...)
	dst = append(dst, `","target":null,"timestamp":`...)
	dst = at.seconds(dst)
	return append(dst, `,"payload":`...)
}

// appendTail appends what follows the payload's value, newline included.
func appendTail(dst []byte, correlation string) []byte {
	if correlation == "" {
		return append(dst, `,"meta":{"correlation_id":null,"version":"1.0"}}`+"\n"...)
	}
	dst = append(dst, `,"meta":{"correlation_id":`...)
	dst = pdp.AppendString(dst, correlation)
	return append(dst, `,"version":"1.0"}}`+"\n"...)
}

// appendMillis appends a duration in nanoseconds as milliseconds with six decimals.
func appendMillis(dst []byte, ns int64) []byte {
	dst = strconv.AppendInt(dst, ns/1e6, 10)
	return appendDecimals(dst, uint32(ns%1e6))
}

func appendDecimals(dst []byte, n uint32) []byte {
	d := [7]byte{0: '.'}
	putDecimals(d[1:], n)
	return append(dst, d[:]...)
}

func appendHex(dst []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	var h [16]byte
	for i := 15; i > 0; i -= 2 {
		h[i-1], h[i] = digits[v>>4&15], digits[v&15]
		v >>= 8
	}
	return append(dst, h[:]...)
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection, so that different inputs have different
// ids.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Origin is what the ids of one ring's events have in common.
type Origin struct{ key uint64 }

// NewOrigin makes the origin of a sidecar's ring.
func NewOrigin(instance string, epoch uint64) Origin {
	h := sha256.Sum256([]byte(instance))
	return Origin{key: mix(binary.LittleEndian.Uint64(h[:]) ^ mix(epoch))}
}

// perRecord is how many events one record may have: records lie at least 8 bytes apart in the ring, and the low byte
// is the event's number.
const perRecord = 256

// id is that of event n of the record at a position. Within one ring no two are equal.
func (o Origin) id(pos uint64, n int) uint64 { return mix(o.key ^ (pos*perRecord + uint64(n))) }
