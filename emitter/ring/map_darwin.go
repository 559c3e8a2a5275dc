package ring

import (
	"os"

	"golang.org/x/sys/unix"
)

// darwin has no tmpfs of its own.
func isTmpfs(string) bool     { return false }
func usableTmpfs(string) bool { return false }

func allocate(f *os.File, n uint64) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if more := int64(n) - st.Size(); more > 0 {
		store := unix.Fstore_t{Flags: unix.F_ALLOCATEALL, Posmode: unix.F_PEOFPOSMODE, Length: more}
		switch err := unix.FcntlFstore(f.Fd(), unix.F_PREALLOCATE, &store); err {
		case nil:
			return f.Truncate(int64(n))
		case unix.ENOTSUP:
			return writeZeros(f, n)
		default:
			return err
		}
	}
	return nil
}

func populate(mem []byte) error {
	touch(mem)
	return nil
}

// bootID is the identity of the system's start.
func bootID() [16]byte {
	text, _ := unix.Sysctl("kern.bootsessionuuid")
	return parseBootID(text)
}
