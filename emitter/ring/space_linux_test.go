//go:build amd64 || arm64

package ring_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"thymus/emitter/ring"
	"thymus/pdp"
)

// tmpfs mounts one of a size, or skips.
func tmpfs(t *testing.T, size string) string {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("REQUIRE_REAL") == "1" {
			t.Fatal("mount: ", err)
		}
		t.Skip("needs the right to mount a tmpfs: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestATmpfsTooSmallIsAnErrorThatSaysWhatToDo(t *testing.T) {
	dir := tmpfs(t, "512k")
	_, _, err := ring.Open(ring.Options{Path: dir, Name: "r", Size: 1 << 20})
	se := (*ring.SpaceError)(nil)
	if !errors.As(err, &se) || !se.Tmpfs || se.Size != 1<<20 || se.Need != ring.FileSize(1<<20) || se.Total != 512<<10 {
		t.Fatalf("%v: %+v", err, se)
	}
	for _, part := range []string{dir, "1 MiB", "512 KiB", "events.ring.size", "--shm-size"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	// The same file with a size that fits.
	r, rec := open(t, ring.Options{Path: dir, Name: "r", Size: 256 << 10})
	if !rec.Fresh || !rec.Tmpfs {
		t.Fatalf("%+v", rec)
	}
	// It is reserved to the last byte: nothing can take a page away from under an append.
	if err := os.WriteFile(dir+"/greedy", make([]byte, 512<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal("the tmpfs is not full: ", err)
	}
	for r.Append(6, make([]byte, 1000)) {
	}
	if r.Backlog() < 250<<10 {
		t.Fatal(r.Backlog())
	}
	// Growing beyond what is there leaves the ring as it was.
	drain(r, func(uint64, pdp.Class, []byte) {})
	if !errors.As(r.Resize(1<<20), &se) {
		t.Fatal("grown")
	}
	append1(t, r, 1, 1, 100)
	if got := contents(t, r); len(got) != 1 || r.Capacity() != 256<<10 {
		t.Fatal(got)
	}
	r.Close()
	r, rec = open(t, ring.Options{Path: dir, Name: "r", Size: 256 << 10})
	if rec.Fresh || rec.Committed != 1 || rec.Resized(r) {
		t.Fatalf("%+v", rec)
	}
}

func TestADiskThatIsFullIsAnError(t *testing.T) {
	dir := tmpfs(t, "2m")
	if err := os.WriteFile(dir+"/full", make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := ring.Open(ring.Options{Path: dir, Name: "r", Size: 1 << 20})
	if se := (*ring.SpaceError)(nil); !errors.As(err, &se) && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

func TestTheDefaultFolderIsATmpfsWhereThereIsOne(t *testing.T) {
	dir := t.TempDir()
	path, isTmpfs := ring.DefaultPath(dir)
	var st unix.Statfs_t
	there := unix.Statfs("/dev/shm", &st) == nil && st.Type == unix.TMPFS_MAGIC && unix.Access("/dev/shm", unix.W_OK) == nil
	if isTmpfs != there || there && path != "/dev/shm" || !there && path != dir {
		t.Fatal(path, isTmpfs, there)
	}
}
