package detect

import (
	"encoding/binary"
	"hash/crc32"
)

// Hash is SipHash-2-4-128 as its authors write it: 16 bytes.
func Hash(seed [16]byte, s string) []byte {
	k := newSip(seed).sum(s)
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, k.a), k.b)
}

// NewMemo gives the first half of Hash, from a memo.
func NewMemo(seed [16]byte) func(string) []byte {
	m, k := new(memo), newSip(seed)
	return func(s string) []byte { return binary.LittleEndian.AppendUint64(nil, m.sum64(k, s)) }
}

// Checked is b with a checksum behind it.
func Checked(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}
