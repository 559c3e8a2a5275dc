package ring

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
)

// identified is what the first page of a file says.
type identified struct {
	fresh              bool   // nothing yet
	problem            string // why it is no ring of this version
	capacity, resizing uint64
}

// identify reads a file's first page, as far as there is one.
func identify(page []byte) (id identified) {
	allZero := true
	for _, b := range page {
		allZero = allZero && b == 0
	}
	if allZero {
		id.fresh = true
		return id
	}
	if len(page) < pageSize {
		id.problem = "it is shorter than a ring's header"
		return id
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	switch u64(page) {
	case making:
		id.fresh = true
		return id
	case magic:
	default:
		id.problem = "it does not begin like a ring"
		return id
	}
	if v := u32(page[8:]); v != version {
		id.problem = fmt.Sprintf("its format is version %d, this program reads version %d", v, version)
		return id
	}
	id.capacity, id.resizing = u64(page[32:]), u64(page[40:])
	if identity(u32(page[8:]), u32(page[16:]), u64(page[24:])) != u32(page[12:]) || !validCapacity(id.capacity) ||
		id.resizing != 0 && !validCapacity(id.resizing) {
		id.problem = "its header is damaged"
	}
	return id
}

func validCapacity(n uint64) bool { return bits.OnesCount64(n) == 1 && n >= MinSize && n <= MaxSize }

// parseBootID reads 32 hexadecimal digits with or without dashes. Where they are not that, the start of the system
// cannot be told, and each Open takes it for another one: a random identity never comes again.
func parseBootID(s string) (id [16]byte) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(id) {
		rand.Read(id[:])
		return id
	}
	return [16]byte(b)
}
