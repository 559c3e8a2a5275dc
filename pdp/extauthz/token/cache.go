package token

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
)

// Bounds of what is remembered: 16 MiB of claims at the very most, if as many tokens of the largest size are shown.
const (
	cacheSlots = 4096    // tokens
	maxCached  = 4 << 10 // bytes of a token
)

// believed is a token that was found valid, immutable. The token itself is not kept: it is a secret.
type believed struct {
	sum         [sha256.Size]byte
	keys        *keySet // that signed it; with other keys it counts for nothing
	from, until int64   // nanoseconds of Unix time: valid in [from, until)
	claims      []byte
}

// cache remembers valid tokens, so that a signature is checked once and not with every call. A token has two slots, by
// its digest; what is put where both are taken takes one of them. Reading is one load or two, without a lock or a
// counter that callers share; only a token with the right signature can push another one out, so that strangers cannot.
type cache struct {
	slots [cacheSlots]atomic.Pointer[believed]
}

// ways are the two slots of a digest.
func (c *cache) ways(sum *[sha256.Size]byte) (a, b *atomic.Pointer[believed]) {
	i := binary.LittleEndian.Uint64(sum[:])
	return &c.slots[i%cacheSlots], &c.slots[(i>>32)%cacheSlots]
}

// find returns the claims of a token that counts at now.
func (c *cache) find(sum *[sha256.Size]byte, keys *keySet, now int64) []byte {
	a, b := c.ways(sum)
	for _, slot := range [...]*atomic.Pointer[believed]{a, b} {
		if e := slot.Load(); e != nil && e.sum == *sum && e.counts(keys, now) {
			return e.claims
		}
	}
	return nil
}

// put remembers e from now on.
func (c *cache) put(e *believed, now int64) {
	a, b := c.ways(&e.sum)
	slot := b
	if old := a.Load(); old == nil || old.sum == e.sum || !old.counts(e.keys, now) {
		slot = a
	}
	slot.Store(e)
}

func (e *believed) counts(keys *keySet, now int64) bool {
	return e.keys == keys && e.from <= now && now < e.until
}
