package ring

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
)

// FileName is the name of the ring's file for a state directory: thymus-UID-HASH, so that processes of several users
// and directories can share /dev/shm, and a process finds its own again. The hash is of the absolute path, symbolic
// links resolved.
func FileName(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	sum := sha256.Sum256([]byte(abs))
	return "thymus-" + strconv.Itoa(os.Geteuid()) + "-" + hex.EncodeToString(sum[:8]), nil
}

// DefaultPath is the folder for the ring where none is configured: /dev/shm where that is a tmpfs that this process can
// write to, else the state directory. Whether the ring fits there, Open says.
func DefaultPath(dir string) (path string, tmpfs bool) {
	if usableTmpfs("/dev/shm") {
		return "/dev/shm", true
	}
	return dir, false
}
