//go:build linux && (amd64 || arm64)

package ring

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func isTmpfs(folder string) bool {
	var st unix.Statfs_t
	return unix.Statfs(folder, &st) == nil && st.Type == unix.TMPFS_MAGIC
}

func usableTmpfs(folder string) bool {
	return isTmpfs(folder) && unix.Access(folder, unix.W_OK|unix.X_OK) == nil
}

func allocate(f *os.File, n uint64) error {
	err := unix.EINTR
	for err == unix.EINTR {
		err, _ = unix.Fallocate(int(f.Fd()), 0, 0, int64(n)).(unix.Errno)
	}
	switch err {
	case 0:
		return nil
	case unix.EOPNOTSUPP:
		return writeZeros(f, n)
	}
	return err
}

// populate faults every page for writing. MAP_POPULATE does so only for reading where the mapping is shared.
func populate(mem []byte) error {
	err := unix.Madvise(mem, unix.MADV_POPULATE_WRITE) // since Linux 5.14
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	touch(mem)
	return nil
}

// bootID is the identity of the system's start.
func bootID() [16]byte {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return parseBootID(strings.TrimSpace(string(text)))
}
