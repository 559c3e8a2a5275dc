//go:build (linux && (amd64 || arm64)) || darwin

package ring_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thymus/emitter/ring"
	"thymus/pdp"
)

func fileOptions(t testing.TB) ring.Options {
	return ring.Options{Path: t.TempDir(), Name: "thymus-0-test", Size: small}
}

func open(t testing.TB, o ring.Options) (*ring.Ring, *ring.Recovery) {
	t.Helper()
	r, rec, err := ring.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, rec
}

func TestARingOutlivesItsProcess(t *testing.T) {
	o := fileOptions(t)
	r, rec := open(t, o)
	if !rec.Fresh || rec.Volatile || rec.Path != filepath.Join(o.Path, o.Name) {
		t.Fatalf("%+v", rec)
	}
	st, err := os.Stat(rec.Path)
	if err != nil || st.Mode().Perm() != 0o600 || uint64(st.Size()) != ring.FileSize(small) {
		t.Fatal(err, st.Mode(), st.Size())
	}
	for i := range uint64(5) {
		append1(t, r, 1, i, 100)
	}
	_, next := r.Poll(2, func(uint64, pdp.Class, []byte) {})
	r.Advance(next)
	epoch := r.Epoch()
	r.Close()
	r, rec = open(t, o)
	if rec.Fresh || rec.BootChanged || rec.Committed != 3 || rec.Torn+rec.Abandoned != 0 || r.Epoch() != epoch {
		t.Fatalf("%+v epoch %x, was %x", rec, r.Epoch(), epoch)
	}
	if got := contents(t, r); !slices.Equal(got, []uint64{1002, 1003, 1004}) {
		t.Fatal(got)
	}
	balanced(t, r)
}

func TestTwoProcessesDoNotShareARing(t *testing.T) {
	o := fileOptions(t)
	r, _ := open(t, o)
	_, _, err := ring.Open(o)
	if le := (*ring.LockedError)(nil); !errors.As(err, &le) || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatal(err)
	}
	r.Close()
	open(t, o)
}

func TestWhatCannotBeTrustedIsNotOpened(t *testing.T) {
	for _, tc := range []struct {
		name, says string
		make       func(path string) error
	}{
		{"a symbolic link", "symbolic link", func(p string) error {
			if err := os.WriteFile(p+".real", nil, 0o600); err != nil {
				return err
			}
			return os.Symlink(p+".real", p)
		}},
		{"a folder", "cannot be opened", func(p string) error { return os.Mkdir(p, 0o700) }},
		{"a file that others can write to", "has mode 0622", func(p string) error {
			if err := os.WriteFile(p, nil, 0o600); err != nil {
				return err
			}
			return os.Chmod(p, 0o622)
		}},
		{"a file with a second name", "2 names", func(p string) error {
			if err := os.WriteFile(p, nil, 0o600); err != nil {
				return err
			}
			return os.Link(p, p+".other")
		}},
		{"a file of another user", "belongs to user", func(p string) error {
			if os.Geteuid() != 0 {
				return errors.ErrUnsupported
			}
			if err := os.WriteFile(p, nil, 0o600); err != nil {
				return err
			}
			return os.Chown(p, 12345, 12345)
		}},
		{"a folder that is missing", "cannot be opened", func(p string) error { return os.Remove(filepath.Dir(p)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := fileOptions(t)
			path := filepath.Join(o.Path, o.Name)
			if err := tc.make(path); errors.Is(err, errors.ErrUnsupported) {
				t.Skip("only root can give a file away")
			} else if err != nil {
				t.Fatal(err)
			}
			_, _, err := ring.Open(o)
			if fe := (*ring.FileError)(nil); !errors.As(err, &fe) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) {
				t.Fatalf("%v, want %q", err, tc.says)
			}
		})
	}
}

func TestForeignFilesArePutAsideAndKept(t *testing.T) {
	for _, tc := range []struct {
		name, says string
		content    func(ours []byte) []byte
	}{
		{"a text", "shorter than a ring's header", func([]byte) []byte { return []byte("not a ring") }},
		{"a long text", "does not begin like a ring", func([]byte) []byte { return []byte(strings.Repeat("not a ring ", 1000)) }},
		{"a later version", "version 7", func(b []byte) []byte { b[8] = 7; return b }},
		{"a damaged header", "header is damaged", func(b []byte) []byte { b[25] ^= 1; return b }},
		{"a ring whose tail is nowhere", "contradict", func(b []byte) []byte { b[135] ^= 1; return b }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := fileOptions(t)
			path := filepath.Join(o.Path, o.Name)
			r, _ := open(t, o)
			append1(t, r, 1, 1, 100)
			r.Close()
			ours, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			foreign := tc.content(ours)
			for i := 1; i <= 2; i++ { // twice: neither is lost
				if err := os.WriteFile(path, foreign, 0o600); err != nil {
					t.Fatal(err)
				}
				r, rec := open(t, o)
				if !rec.Fresh || !strings.Contains(rec.AsideReason, tc.says) {
					t.Fatalf("%+v, want %q", rec, tc.says)
				}
				kept, err := os.ReadFile(rec.Aside)
				if err != nil || len(kept) < len(foreign) || string(kept[:len(foreign)]) != string(foreign) {
					t.Fatalf("%v, %d bytes kept of %d", err, len(kept), len(foreign))
				}
				append1(t, r, 1, 1, 100)
				r.Close()
			}
		})
	}
}

func TestAFileCutShortIsLengthenedAndItsRestIsKept(t *testing.T) {
	o := fileOptions(t)
	r, rec := open(t, o)
	for i := range uint64(10) {
		append1(t, r, 1, i, 1000)
	}
	cut := r.At(6 * 1024)
	r.Close()
	if err := os.Truncate(rec.Path, int64(cut)+300); err != nil {
		t.Fatal(err)
	}
	r, rec = open(t, o)
	if !rec.Truncated || rec.Torn != 4 || rec.Committed != 6 {
		t.Fatalf("%+v", rec)
	}
	if got := contents(t, r); !slices.Equal(got, []uint64{1000, 1001, 1002, 1003, 1004, 1005}) {
		t.Fatal(got)
	}
	balanced(t, r)
}

// A kill while the file was being made leaves nothing of it.
func TestAFileHalfMadeIsMadeAgain(t *testing.T) {
	o := fileOptions(t)
	r, _ := open(t, o)
	r.Append(pdp.ClassAllow, make([]byte, 100))
	r.Append(pdp.ClassAllow, make([]byte, r.MaxRecord()+1))
	copy(r.Image(), "THYMAKE\x01")
	r.Close()
	r, rec := open(t, o)
	if !rec.Fresh || rec.Aside != "" || shed(r) != 0 || r.Tail() != 0 || r.Control(0).Load() != 0 {
		t.Fatalf("%+v, shed %v, tail %d", rec, r.Shed(), r.Tail())
	}
	balanced(t, r)
}

// A ring of another size is drained as it is, and then given the size; dying on the way is mended by the next Open.
func TestAnotherSizeIsDrainedFirst(t *testing.T) {
	for _, sizes := range [][2]uint64{{small, 4 * small}, {4 * small, small}} {
		for _, die := range []int{-1, ring.StepResizing, ring.StepReshaped} {
			o := fileOptions(t)
			o.Size = sizes[0]
			r, _ := open(t, o.From(sizes[0]-64))
			for i := range uint64(5) {
				append1(t, r, 1, i, 500)
			}
			r.Append(pdp.ClassAllow, make([]byte, r.MaxRecord()+1))
			epoch := r.Epoch()
			r.Close()
			o.Size = sizes[1]
			r, rec := open(t, o)
			if !rec.Resized(r) || r.Capacity() != sizes[0] || rec.Committed != 5 {
				t.Fatalf("%+v, capacity %d", rec, r.Capacity())
			}
			if ce := (*ring.CursorError)(nil); !errors.As(r.Resize(o.Size), &ce) {
				t.Fatal("resized with records in it")
			}
			if n := drain(r, func(uint64, pdp.Class, []byte) {}); n != 5 {
				t.Fatal(n)
			}
			tail, offered := r.Tail(), r.Offered()
			if die >= 0 {
				r.Watch(func(step int, _ uint64) {
					if step == die {
						panic("killed")
					}
				})
				func() { defer func() { recover() }(); r.Resize(o.Size) }()
				r.Abandon()
				if r, rec = open(t, o); rec.Resized(r) {
					t.Fatalf("killed at step %d: the mark is there, and was not followed", die)
				}
			} else if err := r.Resize(o.Size); err != nil {
				t.Fatal(err)
			}
			if h := r.Image(); binary.LittleEndian.Uint64(h[32:]) != sizes[1] || binary.LittleEndian.Uint64(h[40:]) != 0 {
				t.Fatalf("killed at step %d: the header is not that of the new size", die)
			}
			for at := uint64(0); at < sizes[1]; at += 64 {
				if w := r.Control(at).Load(); w != 0 {
					t.Fatalf("control word %d is %x before anything was written", at/64, w)
				}
			}
			if r.Capacity() != sizes[1] || r.Epoch() != epoch || r.Tail() != tail || r.Offered() != offered {
				t.Fatalf("capacity %d, epoch %x of %x, tail %d of %d, offered %v of %v", r.Capacity(), r.Epoch(), epoch, r.Tail(), tail, r.Offered(), offered)
			}
			want := []uint64{}
			for i := range uint64(40) {
				append1(t, r, 2, i, 1000)
				want = append(want, 2000+i)
			}
			r.Close()
			r, rec = open(t, o)
			if got := contents(t, r); !slices.Equal(got, want) || rec.Resized(r) {
				t.Fatalf("%v, %+v", got, rec)
			}
			balanced(t, r)
			r.Close()
		}
	}
}

func TestSystemsThatCannotAllocateOrPopulate(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("what is there stays")
	if err := ring.WriteZeros(f, 3<<20+5); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil || len(b) != 3<<20+5 || !strings.HasPrefix(string(b), "what is there stays\x00") {
		t.Fatal(err, len(b))
	}
	mem := ring.Heap(20_000)
	for i := range mem {
		mem[i] = byte(i * 7)
	}
	want := slices.Clone(mem)
	if ring.Touch(mem); !slices.Equal(mem, want) {
		t.Fatal("touching a page changed it")
	}
}

func TestTheNameIsOfTheUserAndTheFolder(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	link := filepath.Join(b, "link")
	if err := os.Symlink(a, link); err != nil {
		t.Fatal(err)
	}
	nameA, err1 := ring.FileName(a)
	nameLink, err2 := ring.FileName(link)
	nameB, err3 := ring.FileName(b)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if nameA != nameLink || nameA == nameB || !strings.HasPrefix(nameA, "thymus-") || filepath.Base(nameA) != nameA {
		t.Fatal(nameA, nameLink, nameB)
	}
}
