package ring

import "fmt"

// LockedError says that another process has the ring open.
type LockedError struct{ Path string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("ring %s is in use by another process: two of them need a state directory each, or another events.ring.path", e.Path)
}

// FileError says that what lies at the ring's path cannot be trusted or used as one.
type FileError struct {
	Path    string
	Problem string // what is wrong and what was expected
	Err     error  // the system's error; nil where a check failed
}

func (e *FileError) Error() string {
	s := "ring " + e.Path + ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *FileError) Unwrap() error { return e.Err }

// SpaceError says that the folder has no room for the ring. All sizes are bytes.
type SpaceError struct {
	Folder string
	Size   uint64 // of the ring, as configured
	Need   uint64 // what its file takes beyond what it has
	Free   uint64 // in the folder's file system
	Total  uint64 // of that file system
	Tmpfs  bool
	Err    error // the system's error, where the reservation failed in spite of enough free space
}

func (e *SpaceError) Error() string {
	s := fmt.Sprintf("no room for the ring: a ring of %s needs %s more in %s, which has %s free of %s",
		size(e.Size), size(e.Need), e.Folder, size(e.Free), size(e.Total))
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	s += ": set a smaller events.ring.size or another events.ring.path"
	if e.Tmpfs {
		s += ", or enlarge the tmpfs (docker --shm-size, Kubernetes an emptyDir with medium Memory)"
	}
	return s
}

func (e *SpaceError) Unwrap() error { return e.Err }

// size is a number of bytes for people, rounded up at the second digit behind the point.
func size(n uint64) string {
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if f == float64(uint64(f)) {
		return fmt.Sprintf("%d %s", uint64(f), units[i])
	}
	return fmt.Sprintf("%.2f %s", f, units[i])
}

// OptionError names an option that cannot be.
type OptionError struct{ Option, Problem string }

func (e *OptionError) Error() string { return "ring: " + e.Option + " " + e.Problem }

// CursorError says why the cursor cannot move to a position.
type CursorError struct {
	Position     uint64 // asked for
	Cursor, Tail uint64 // of the ring
	Problem      string
}

func (e *CursorError) Error() string {
	return fmt.Sprintf("ring: cannot move the cursor to %d: %s (it stands at %d, the tail at %d)", e.Position, e.Problem, e.Cursor, e.Tail)
}
