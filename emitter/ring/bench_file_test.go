//go:build (linux && (amd64 || arm64)) || darwin

package ring_test

import (
	"os"
	"testing"

	"thymus/emitter/ring"
	"thymus/pdp"
)

// BenchmarkOpen is what a start pays for a ring of 32 MiB: making it, and recovering it empty and full of records of 192
// bytes, each checksummed.
//
//	go test -run '^$' -bench Open -count 6 ./emitter/ring
func BenchmarkOpen(b *testing.B) {
	where, _ := ring.DefaultPath(b.TempDir())
	dir, err := os.MkdirTemp(where, "thymus-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	o := ring.Options{Path: dir, Name: "ring", Size: 32 << 20}
	again := func(b *testing.B, records int) {
		for b.Loop() {
			r, rec, err := ring.Open(o)
			if err != nil || rec.Committed != records {
				b.Fatal(err, rec)
			}
			r.Close()
		}
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			os.Remove(dir + "/ring")
			r, _, err := ring.Open(o)
			if err != nil {
				b.Fatal(err)
			}
			r.Close()
		}
	})
	b.Run("empty", func(b *testing.B) { again(b, 0) })
	b.Run("full", func(b *testing.B) {
		r, _, err := ring.Open(o)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for r.Append(pdp.ClassAdmin, make([]byte, recordSize)) {
			n++
		}
		r.Close()
		again(b, n)
	})
}
