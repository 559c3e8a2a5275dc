package kafka

import "encoding/binary"

// murmur2 is the 32-bit hash that Kafka's Java client partitions by: MurmurHash2 (Austin Appleby, public domain) with
// the seed of org.apache.kafka.common.utils.Utils.
func murmur2(key []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := binary.LittleEndian.Uint32(key) * m
		h = h*m ^ (k^k>>r)*m
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(key[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

// partition is the one of n that a key belongs to, as Utils.toPositive(murmur2(key)) % n.
func partition(key []byte, n int) int { return int(murmur2(key)&0x7fffffff) % n }
