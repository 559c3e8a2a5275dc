//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package journal

import (
	"os"
	"path/filepath"
)

// lockDir opens the lock file; where there is no flock it keeps nobody out.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &WriteError{"open", path, err}
	}
	return f, nil
}

// freeSpace cannot be asked portably: four times a default limit of 1 GiB.
func freeSpace(string) (int64, error) { return 4 << 30, nil }
