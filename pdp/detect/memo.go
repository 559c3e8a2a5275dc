package detect

// memo remembers the hashes of texts that come again and again, such as roles and actions: comparing one costs a tenth
// of hashing it. A text has one place; who invents texts makes others be hashed, and nothing worse.
type memo struct {
	entries [memoSlots]memoEntry
}

const (
	memoSlots = 128
	memoText  = 47 // bytes; longer texts are hashed
)

type memoEntry struct {
	hash uint64
	n    uint8 // length of text and 1; 0: empty
	text [memoText]byte
}

// sum64 is s.sum64(p).
func (m *memo) sum64(s sip, p string) uint64 {
	if len(p) > memoText || len(p) < 8 {
		return s.sum64(p) // a short one is hashed as fast
	}
	e := &m.entries[(word(p)^word(p[len(p)-8:])*3^uint64(len(p)))*0x9e3779b97f4a7c15>>57]
	if int(e.n) == len(p)+1 && string(e.text[:len(p)]) == p {
		return e.hash
	}
	e.hash = s.sum64(p)
	e.n = uint8(len(p) + 1)
	copy(e.text[:], p)
	return e.hash
}
