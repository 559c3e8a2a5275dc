//go:build (linux && (amd64 || arm64)) || darwin

package ring

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve gives the file its length, with blocks under all of it: a store into a page for which the file system has no
// room would kill the process. What is in the file stays.
func reserve(f *os.File, folder string, capacity uint64) error {
	want := fileSize(capacity)
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &FileError{Path: f.Name(), Problem: "cannot be read", Err: err}
	}
	if uint64(st.Size) > want {
		if err := f.Truncate(int64(want)); err != nil {
			return &FileError{Path: f.Name(), Problem: "cannot be shortened", Err: err}
		}
	}
	need := want
	if have := uint64(st.Blocks) * 512; have < need {
		need -= have
	} else {
		need = 0
	}
	free, total, err := freeSpace(folder)
	if err != nil {
		return &FileError{Path: folder, Problem: "cannot be asked for its free space", Err: err}
	}
	space := &SpaceError{Folder: folder, Size: capacity, Need: need, Free: free, Total: total, Tmpfs: isTmpfs(folder)}
	if free < need {
		return space
	}
	err = allocate(f, want)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		space.Err = err
		return space
	}
	if err != nil {
		return &FileError{Path: f.Name(), Problem: "cannot be given its length", Err: err}
	}
	return nil
}

// writeZeros lengthens the file where the file system cannot allocate without writing.
func writeZeros(f *os.File, to uint64) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for at := uint64(st.Size()); at < to; {
		n, err := f.WriteAt(zeros[:min(uint64(len(zeros)), to-at)], int64(at))
		if err != nil {
			return err
		}
		at += uint64(n)
	}
	return nil
}

func freeSpace(folder string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return 0, 0, err
	}
	block := uint64(st.Bsize)
	return uint64(st.Bavail) * block, uint64(st.Blocks) * block, nil
}

// touch writes to each page what is there.
func touch(mem []byte) {
	for i := 0; i < len(mem); i += pageSize {
		(*atomic.Uint64)(unsafe.Pointer(&mem[i])).Add(0)
	}
}

// mapFile maps the file's first n bytes, every page present and writable, so that no append waits for one.
func mapFile(f *os.File, n uint64) ([]byte, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	if err := populate(mem); err != nil {
		unix.Munmap(mem)
		return nil, err
	}
	return mem, nil
}

// remap changes the length of the file and the mapping of an empty ring.
func (r *Ring) remap(capacity uint64) error {
	f := r.file.f
	if f == nil {
		return &OptionError{"size", "of a ring on the heap cannot change"}
	}
	folder := filepath.Dir(f.Name())
	if capacity > r.capacity { // room first; until the mark is set a longer file is only a longer file
		if err := reserve(f, folder, capacity); err != nil {
			return err
		}
	}
	r.head.resizing.Store(capacity)
	r.step(stepResizing, capacity)
	unix.Munmap(r.mem)
	err := reserve(f, folder, capacity)
	var mem []byte
	if err == nil {
		r.step(stepReshaped, capacity)
		mem, err = mapFile(f, fileSize(capacity))
	}
	if err != nil {
		r.closed.Store(true)
		r.head = new(header)
		f.Close()
		return &FileError{Path: f.Name(), Problem: "cannot be resized", Err: err}
	}
	r.attach(mem, capacity)
	r.reshape()
	return nil
}
