package journal

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// checkVersion refuses a journal that another version of the layout has written: what we cannot read would look like
// damage to us, and be repaired. Every version keeps the first 12 bytes of a record as they are and ends it with a
// CRC32C of what is before, so that another version and a damaged record are told apart.
func checkVersion(dir string, segments []uint64) error {
	for _, first := range segments {
		path := fileName(dir, first, extSide)
		f, err := os.Open(path)
		if notExist(err) {
			continue
		}
		if err != nil {
			return &WriteError{"open", path, err}
		}
		b := make([]byte, maxRecord)
		n, err := f.ReadAt(b, 0)
		_ = f.Close() // only read
		if err != nil && err != io.EOF {
			return &WriteError{"read", path, err}
		}
		if v, other := otherVersion(b[:n]); other {
			return &ForeignError{path, fmt.Sprintf("written in version %d of the layout, this program reads version %d", v, sideVersion)}
		}
	}
	return nil
}

const maxRecord = 4096 // largest record that any version may have

// otherVersion says whether b begins with a whole record of another version, and of which.
func otherVersion(b []byte) (uint16, bool) {
	le := binary.LittleEndian
	if len(b) < 12 || le.Uint32(b) != sideMagic || le.Uint16(b[4:]) == sideVersion {
		return 0, false
	}
	n := int(min(le.Uint32(b[8:]), maxRecord+1))
	if n < 16 || n > len(b) || le.Uint32(b[n-4:]) != checksum(b[:n-4]) {
		return 0, false
	}
	return le.Uint16(b[4:]), true
}

// otherSlots says whether a sink's file without a valid slot of ours has slots of another version.
func otherSlots(b []byte) bool {
	le := binary.LittleEndian
	return len(b) >= 8 && le.Uint32(b) == slotMagic && le.Uint32(b[4:]) != slotVersion
}
