package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrSocketLive is the reason why a socket is not replaced: somebody answers on it.
var ErrSocketLive = errors.New("another process answers on it")

// ListenUnix listens on a Unix socket with exactly the given mode. A stale socket file is replaced; a live one and a
// file that is no socket are errors. Closing the listener removes the file.
//
// The mode holds from the file's first moment: where the kernel takes a socket's mode for its file's (Linux), the socket
// is owner-only before it is bound, and is opened to others once it is.
func ListenUnix(path string, mode fs.FileMode) (*net.UnixListener, error) {
	if err := clearStale(path); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(ownerOnly)
	}}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, plain(err))
	}
	ul, ok := ln.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("socket %s: listener is a %T", path, ln), ln.Close())
	}
	if err := os.Chmod(path, mode.Perm()); err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", path, err), ul.Close())
	}
	return ul, nil
}

// clearStale removes a socket on which nobody answers.
func clearStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return plain(err)
		}
		return nil
	}
	if err != nil {
		return plain(err)
	}
	if fi.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is a file of this name that is no socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		return errors.Join(ErrSocketLive, c.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSocketLive // its backlog is full
	}
	return plain(err)
}

// plain takes off what net and os say of an operation that the caller's message names already.
func plain(err error) error {
	if e := (*net.OpError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if e := (*os.SyscallError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Cred is the kernel's word on the process at the other end of a Unix socket, at the time it connected.
type Cred struct {
	UID, GID uint32
	PID      int32
}
