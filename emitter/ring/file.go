//go:build (linux && (amd64 || arm64)) || darwin

package ring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const canMap = true

// backing is the file under a ring; nil on the heap.
type backing struct{ f *os.File }

func (b backing) close(mem []byte) error {
	if b.f == nil {
		return nil
	}
	return errors.Join(unix.Munmap(mem), b.f.Close())
}

// openFile is Open for a file.
func openFile(o Options) (*Ring, *Recovery, error) {
	path := filepath.Join(o.Path, o.Name)
	rec := &Recovery{Path: path, Wanted: o.Size, Tmpfs: isTmpfs(o.Path)}
	for {
		f, err := lockFile(path)
		if err != nil {
			return nil, nil, err
		}
		r, aside, err := adopt(f, o, rec)
		if err == nil && aside == "" {
			return r, rec, nil
		}
		if err == nil {
			err = rec.setAside(path, aside)
		}
		f.Close()
		if err != nil {
			return nil, nil, err
		}
	}
}

// lockFile opens or makes the file, and holds its lock. The file is what the path names when that is done.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
		if err != nil {
			if errors.Is(err, unix.ELOOP) {
				return nil, &FileError{Path: path, Problem: "is a symbolic link, which is not followed"}
			}
			return nil, &FileError{Path: path, Problem: "cannot be opened", Err: errors.Unwrap(err)}
		}
		if err := trusted(path, f); err != nil {
			f.Close()
			return nil, err
		}
		err = unix.EINTR
		for err == unix.EINTR {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if err != nil {
			f.Close()
			if err == unix.EWOULDBLOCK {
				return nil, &LockedError{Path: path}
			}
			return nil, &FileError{Path: path, Problem: "cannot be locked", Err: err}
		}
		ours, err1 := f.Stat()
		there, err2 := os.Lstat(path)
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			return f, nil
		}
		f.Close() // another process has put it aside meanwhile
		if err2 != nil && !errors.Is(err2, fs.ErrNotExist) {
			return nil, &FileError{Path: path, Problem: "cannot be read", Err: err2}
		}
	}
}

// trusted refuses what another user could have put there or could write to: the folder may be everyone's.
func trusted(path string, f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &FileError{Path: path, Problem: "cannot be read", Err: err}
	}
	problem := ""
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		problem = "is no regular file"
	case st.Uid != uint32(os.Geteuid()):
		problem = fmt.Sprintf("belongs to user %d, this process runs as %d", st.Uid, os.Geteuid())
	case st.Mode&0o077 != 0:
		problem = fmt.Sprintf("has mode %04o, others may touch it; expected 0600", st.Mode&0o7777)
	case st.Nlink != 1:
		problem = fmt.Sprintf("has %d names, expected one", st.Nlink)
	default:
		return nil
	}
	return &FileError{Path: path, Problem: problem}
}

// adopt makes a ring of a locked file. aside says why it cannot, where the file is to be put aside.
func adopt(f *os.File, o Options, rec *Recovery) (r *Ring, aside string, err error) {
	*rec = Recovery{Path: rec.Path, Wanted: rec.Wanted, Tmpfs: rec.Tmpfs, Aside: rec.Aside, AsideReason: rec.AsideReason}
	var page [pageSize]byte
	n, err := f.ReadAt(page[:], 0)
	if err != nil && err != io.EOF {
		return nil, "", &FileError{Path: rec.Path, Problem: "cannot be read", Err: err}
	}
	id := identify(page[:n])
	if id.problem != "" {
		return nil, id.problem, nil
	}
	capacity := o.Size
	if !id.fresh {
		capacity = id.capacity
		if id.resizing != 0 {
			capacity = id.resizing
		}
	}
	st, err := f.Stat()
	if err != nil {
		return nil, "", &FileError{Path: rec.Path, Problem: "cannot be read", Err: err}
	}
	rec.Fresh = id.fresh
	rec.Truncated = !id.fresh && id.resizing == 0 && uint64(st.Size()) < fileSize(capacity)
	if err := reserve(f, o.Path, capacity); err != nil {
		return nil, "", err
	}
	mem, err := mapFile(f, fileSize(capacity))
	if err != nil {
		return nil, "", &FileError{Path: rec.Path, Problem: "cannot be mapped", Err: err}
	}
	r = &Ring{hook: o.hook, file: backing{f}}
	r.attach(mem, capacity)
	if id.fresh {
		r.format(o)
		return r, "", nil
	}
	if !r.revive(rec) {
		unix.Munmap(mem)
		return nil, "its cursor and tail contradict each other", nil
	}
	return r, "", nil
}

// setAside gives a file that is not ours to read a name of its own.
func (rec *Recovery) setAside(path, reason string) error {
	for i := 1; ; i++ {
		to := fmt.Sprintf("%s.aside-%d", path, i)
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(path, to); err != nil {
			return &FileError{Path: path, Problem: reason + ", and it cannot be put aside", Err: err}
		}
		rec.Aside, rec.AsideReason = to, reason
		return nil
	}
}
