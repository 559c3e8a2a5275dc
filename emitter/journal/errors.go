package journal

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrFull is what errors.Is finds in the error of an Append that failed for want of space: the disk is full, a quota is
// used up, or the size limit is reached and everything held is undelivered and must not expire (Options.Strict). It
// passes when there is space again; the same batch can then be appended.
var ErrFull = errors.New("journal is full")

// ErrClosed is the error of a call on a closed journal or reader.
var ErrClosed = errors.New("journal is closed")

// LockedError says that another process writes the journal in Dir.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("journal %s is in use by another process", e.Dir)
}

// ForeignError says that something in the journal's directory is not ours, or not of a version we can continue.
type ForeignError struct{ Path, Why string }

func (e *ForeignError) Error() string { return fmt.Sprintf("journal: %s: %s", e.Path, e.Why) }

// WriteError says what could not be written or read and why. errors.Is finds ErrFull in one that is for want of space.
type WriteError struct {
	Op   string // write, sync, create, truncate, open, read
	Path string
	Err  error
}

func (e *WriteError) Error() string {
	return fmt.Sprintf("journal: %s %s: %v", e.Op, e.Path, cause(e.Err))
}

// Unwrap gives errors.Is the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// Is finds ErrFull.
func (e *WriteError) Is(target error) bool {
	return target == ErrFull && (errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT))
}

// LimitError says that the size limit is reached and nothing may be dropped. errors.Is finds ErrFull in it.
type LimitError struct{ Held, Limit int64 } // bytes

func (e *LimitError) Error() string {
	return fmt.Sprintf("journal: %d bytes held of at most %d, and undelivered events must not expire", e.Held, e.Limit)
}

// Is finds ErrFull.
func (e *LimitError) Is(target error) bool { return target == ErrFull }

// BatchError says what is wrong with a batch; appending it again cannot succeed.
type BatchError struct{ Why string }

func (e *BatchError) Error() string { return "journal: batch: " + e.Why }

// cause strips the path that an *fs.PathError repeats.
func cause(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}
