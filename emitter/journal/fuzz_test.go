package journal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"thymus/emitter/journal"
)

// sample is a small journal's first segment and side file.
func sample(t testing.TB) (lines, side []byte) {
	dir := t.TempDir()
	j, _, err := journal.Open(journal.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 20, 4)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	read := func(ext string) []byte {
		b, err := os.ReadFile(files(t, dir, ext)[0])
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return read(".ndjson"), read(".side")
}

func FuzzSideRecord(f *testing.F) {
	_, side := sample(f)
	for len(side) >= 256 {
		f.Add(side[:256])
		side = side[256:]
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = journal.Reseal(b, nil)
		out, err := journal.DecodeSide(b)
		if err == nil && !bytes.Equal(out, b[:256]) && !bytes.Equal(b[248:252], make([]byte, 4)) {
			t.Skip("reserved bytes are set")
		}
		if err == nil && !bytes.Equal(out[:248], b[:248]) {
			t.Fatalf("decoded and encoded again it differs:\n%x\n%x", b[:256], out)
		}
	})
}

func FuzzSinkSlot(f *testing.F) {
	dir := f.TempDir()
	j, _, err := journal.Open(journal.Options{Dir: dir})
	if err != nil {
		f.Fatal(err)
	}
	fill(f, j, 20, 4)
	s, err := j.Sink("kafka")
	if err != nil {
		f.Fatal(err)
	}
	s.Resume(3)
	for n := range uint64(20) {
		s.Take(int32(n%3), n+1)
	}
	if err := s.Ack(1, 9, 2, 1); err != nil {
		f.Fatal(err)
	}
	j.Close()
	b, err := os.ReadFile(filepath.Join(dir, "kafka.sink"))
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		f.Add(b[i*len(b)/3 : (i+1)*len(b)/3])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = journal.ResealSlot(b)
		if out, err := journal.DecodeSlot(b); err == nil && len(out) > len(b) {
			t.Fatalf("%d bytes were read from %d", len(out), len(b))
		}
	})
}

// FuzzReader gives readers, verify and recovery any files at all: none may panic or run on for ever, readers and
// recovery must agree, and after a repair appends go on. With seal the checksums are right and all else is not.
func FuzzReader(f *testing.F) {
	lines, side := sample(f)
	f.Add(lines, side, true)
	f.Add(lines[:len(lines)/2], side, false)
	f.Add(lines, side[:len(side)-100], false)
	f.Add(lines, side[256:], true)
	f.Add(bytes.Repeat([]byte("{}\n"), 50), []byte{}, false)
	f.Add([]byte{}, side[:256], true)
	f.Fuzz(func(t *testing.T, lines, side []byte, seal bool) {
		if seal {
			side = journal.Reseal(side, lines)
		}
		dir := t.TempDir()
		for ext, b := range map[string][]byte{".ndjson": lines, ".side": side} {
			if err := os.WriteFile(filepath.Join(dir, "00000000000000000001"+ext), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		look := func() (n uint64) {
			r, err := journal.OpenReader(dir, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var c journal.Chunk
			last := uint64(0)
			for {
				ok, err := r.Next(&c)
				if err != nil || !ok {
					return n
				}
				for seq := range c.All {
					if seq <= last {
						t.Fatalf("%d after %d", seq, last)
					}
					last = seq
					n++
				}
			}
		}
		look()
		if _, err := journal.Verify(dir, nil, nil); err != nil {
			t.Fatal(err)
		}
		j, _, err := journal.Open(journal.Options{Dir: dir, Fsync: journal.FsyncNever, RetainSize: 1 << 30})
		if err != nil {
			return
		}
		defer j.Close()
		before := look()
		if j.Next() < 1<<62 {
			fill(t, j, 4, 2)
			if after := look(); after != before+4 {
				t.Fatalf("%d events before, %d after appending 4", before, after)
			}
		}
	})
}
