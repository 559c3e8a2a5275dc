package detect

import (
	"encoding/binary"
	"math/bits"
)

// key names a subject: 128 bits of a keyed hash, so that nobody who does not know the seed can choose names that meet.
type key struct{ a, b uint64 }

// sip is SipHash-2-4 with 128 bits of output (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012, and the
// authors' reference for the longer output).
type sip struct{ k0, k1 uint64 }

func newSip(seed [16]byte) sip {
	return sip{binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:])}
}

func (s sip) sum(p string) key {
	v0, v1, v2, v3 := s.absorb(p)
	for range 4 {
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
	}
	a := v0 ^ v1 ^ v2 ^ v3
	v1 ^= 0xdd
	for range 4 {
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
	}
	return key{a, v0 ^ v1 ^ v2 ^ v3}
}

// sum64 is the first half of sum.
func (s sip) sum64(p string) uint64 {
	v0, v1, v2, v3 := s.absorb(p)
	for range 4 {
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

// absorb is everything up to the rounds that make the output.
func (s sip) absorb(p string) (v0, v1, v2, v3 uint64) {
	v0, v1 = s.k0^0x736f6d6570736575, s.k1^0x646f72616e646f6d^0xee
	v2, v3 = s.k0^0x6c7967656e657261, s.k1^0x7465646279746573
	end := uint64(len(p))<<56 | rest(p)
	for len(p) >= 8 {
		m := word(p)
		v3 ^= m
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
		v0 ^= m
		p = p[8:]
	}
	v3 ^= end
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	return v0 ^ end, v1, v2 ^ 0xee, v3
}

// word is the first eight bytes, little endian.
func word(p string) uint64 {
	_ = p[7]
	return uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
		uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
}

// rest is what is left behind the last whole word, in the low bytes.
func rest(p string) (m uint64) {
	n := len(p) & 7
	if n == 0 {
		return 0
	}
	if len(p) >= 8 {
		return word(p[len(p)-8:]) >> (8 * (8 - n))
	}
	for i := range n {
		m |= uint64(p[i]) << (8 * i)
	}
	return m
}

func round(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}
