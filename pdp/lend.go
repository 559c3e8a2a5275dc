package pdp

import "unsafe"

// lend is b as a string that shares its memory: valid as long as nobody writes to b.
func lend(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}
