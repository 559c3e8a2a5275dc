package native

import (
	"encoding/binary"
	"strings"
)

// sortTexts sorts a few texts, most of which the first eight bytes tell apart. It says no, and does nothing, where there
// are more or some are no texts.
func sortTexts(e []val) bool {
	var heads [fewTexts]uint64
	if len(e) > len(heads) {
		return false
	}
	for i := range e {
		if e[i].kind != text {
			return false
		}
	}
	for i := range e {
		x, h := e[i], head(&e[i])
		j := i
		for ; j > 0 && (heads[j-1] > h || heads[j-1] == h && strings.Compare(e[j-1].str(), x.str()) > 0); j-- {
			e[j], heads[j] = e[j-1], heads[j-1]
		}
		e[j], heads[j] = x, h
	}
	return true
}

// head orders texts as they are ordered, as far as it tells them apart.
func head(v *val) uint64 {
	s := v.str()
	if len(s) >= 8 {
		return binary.BigEndian.Uint64([]byte(s[:8]))
	}
	var h uint64
	for i := range len(s) {
		h |= uint64(s[i]) << (56 - 8*i)
	}
	return h
}
