//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package journal

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDir takes the directory for this process. The lock goes with the process, however it ends; the file stays.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &WriteError{"open", path, err}
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // the lock's error is the one to tell
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{dir}
		}
		return nil, &WriteError{"lock", path, err}
	}
	return f, nil
}

// freeSpace is what an unprivileged process may still write where dir is, in bytes.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &WriteError{"read", dir, err}
	}
	return int64(uint64(st.Bavail) * uint64(st.Bsize)), nil
}
