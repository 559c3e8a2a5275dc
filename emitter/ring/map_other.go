//go:build !((linux && (amd64 || arm64)) || darwin)

package ring

import "errors"

// Elsewhere the ring is on the heap.
const canMap = false

type backing struct{}

func (backing) close([]byte) error { return nil }

func openFile(Options) (*Ring, *Recovery, error) { return nil, nil, errors.ErrUnsupported }

func (r *Ring) remap(uint64) error {
	return &OptionError{"size", "of a ring on the heap cannot change"}
}

func usableTmpfs(string) bool { return false }

// A ring on the heap does not see another start of the system.
func bootID() (id [16]byte) { return [16]byte{1} }
