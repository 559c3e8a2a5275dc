package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"thymus/emitter/journal"
)

// smallDisk mounts a tmpfs of the given size; without the right to, the test is skipped.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		if os.Getenv("REQUIRE_REAL") == "1" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("a small tmpfs cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestAFullDiskIsSaidSurvivedAndLeftWithoutARestart(t *testing.T) {
	dir := smallDisk(t, 512<<10)
	filler := filepath.Join(dir, "somebody else's")
	if err := os.WriteFile(filler, make([]byte, 256<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	o := journal.Options{Dir: filepath.Join(dir, "journal"), SegmentSize: 32 << 10, RetainSize: 1 << 30, Sinks: []string{"kafka"}}
	j, _ := open(t, o)
	s, _ := j.Sink("kafka")
	first := uint64(1)
	var err error
	for ; err == nil; first += 10 {
		err = j.Append(batch(first, 10))
	}
	first -= 10
	if !errors.Is(err, journal.ErrFull) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("%v", err)
	}
	for range 50 { // it stays full, and stays in order
		if err := j.Append(batch(first, 10)); !errors.Is(err, journal.ErrFull) {
			t.Fatalf("%v", err)
		}
	}
	seen, _ := readAll(t, o.Dir, 1)
	wantRun(t, seen, 1, first)
	s.Resume(1)
	s.Take(0, 1)
	if err := s.Ack(0, 2, 1, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(); err != nil { // overwrites in place: needs no space
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, rep := open(t, o) // a start needs no space either
	if err := j.Append(batch(first, 10)); !errors.Is(err, journal.ErrFull) || !rep.Clean() {
		t.Fatalf("%v; %v", err, rep)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := j.Append(batch(first, 10)); err != nil {
			t.Fatal(err)
		}
		first += 10
	}
	seen, gaps := readAll(t, o.Dir, 1)
	wantRun(t, seen, 1, first)
	if v := verifies(t, o.Dir); len(gaps) > 0 || v.Tail != 0 {
		t.Fatalf("gaps %v, %+v", gaps, v)
	}
}

func TestADiskThatIsFullAtTheStartIsSaid(t *testing.T) {
	dir := smallDisk(t, 64<<10)
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	_, _, err = journal.Open(journal.Options{Dir: filepath.Join(dir, "journal")})
	if !errors.Is(err, journal.ErrFull) || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("%v", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	j, rep := open(t, journal.Options{Dir: filepath.Join(dir, "journal")})
	if fill(t, j, 10, 5); j.Next() != 11 {
		t.Fatalf("%v", rep)
	}
}

func TestAReadOnlyDiskIsSaidAndStillRead(t *testing.T) {
	dir := smallDisk(t, 4<<20)
	o := journal.Options{Dir: filepath.Join(dir, "journal"), SegmentSize: 8 << 10}
	j, _ := open(t, o)
	fill(t, j, 300, 10)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatalf("remount: %v", err)
		}
	}
	remount(unix.MS_RDONLY)
	_, _, err := journal.Open(o)
	var we *journal.WriteError
	if !errors.As(err, &we) || !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "read-only file system") {
		t.Fatalf("%v", err)
	}
	seen, _ := readAll(t, o.Dir, 1)
	wantRun(t, seen, 1, 301)
	verifies(t, o.Dir)
	remount(0)
	j, rep := open(t, o)
	if fill(t, j, 10, 5); j.Next() != 311 || !rep.Clean() {
		t.Fatalf("%v", rep)
	}
}
