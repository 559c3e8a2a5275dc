//go:build (linux && (amd64 || arm64)) || darwin

package ring

import (
	"os"

	"golang.org/x/sys/unix"
)

// WriteZeros and Touch are what happens where the system cannot allocate or populate.
func WriteZeros(f *os.File, to uint64) error { return writeZeros(f, to) }
func Touch(mem []byte)                       { touch(mem) }

// Abandon lets go of the file's lock and nothing else, as a process that dies does.
func (r *Ring) Abandon() {
	unix.Flock(int(r.file.f.Fd()), unix.LOCK_UN) // closing is not enough while the file is mapped
	r.file.f.Close()
	r.closed.Store(true)
}
