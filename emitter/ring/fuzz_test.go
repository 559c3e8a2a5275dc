package ring_test

import (
	"encoding/binary"
	"testing"

	"thymus/emitter/ring"
	"thymus/pdp"
)

// FuzzReborn writes over an image of a ring and recovers it. Whatever was written, recovery ends, what it delivers was
// once appended whole, the way to the tail is free, the counts agree, and the ring works on.
//
// The edits are triples of an offset (4 bytes), a way to change the 8 bytes there (1) and a value (8).
func FuzzReborn(f *testing.F) {
	edit := func(offset uint32, how byte, value uint64) []byte {
		b := binary.LittleEndian.AppendUint32(nil, offset)
		return binary.LittleEndian.AppendUint64(append(b, how), value)
	}
	words := uint32(4096)
	f.Add(uint64(0), []byte{})
	f.Add(uint64(640), edit(128, 1, 640))                                  // tail
	f.Add(uint64(0), edit(256, 2, 128))                                    // cursor
	f.Add(uint64(0), edit(48, 0, 1))                                       // boot
	f.Add(uint64(64), append(edit(48, 0, 1), edit(128, 0, 1<<40)...))      // boot and tail
	f.Add(uint64(64), append(edit(48, 0, 1), edit(words+80, 3, 0)...))     // boot and a control word
	f.Add(uint64(64), append(edit(words+16, 1, 1<<29), edit(8, 0, 1)...))  // version
	f.Add(uint64(64), append(edit(words+16, 1, 1<<27), edit(40, 0, 1)...)) // a mark of resizing
	f.Add(uint64(1<<20), edit(words+8, 3, 1<<29|3<<27|0xffffff))           // padding beyond all
	f.Add(uint64(1<<20), edit(words+8, 3, 1<<29|2<<27|0xffffff))           // a record beyond all
	f.Add(uint64(7), edit(320, 3, 64))                                     // a slot
	f.Fuzz(func(t *testing.T, cursor uint64, edits []byte) {
		r, _, err := ring.Open(ring.Options{Size: small}.From(small - 1024))
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(30) {
			append1(t, r, int(i)%6, i, 20+int(i)*9)
		}
		_, next := r.Poll(12, func(uint64, pdp.Class, []byte) {})
		r.Advance(next)
		image := r.Image()
		for ; len(edits) >= 13; edits = edits[13:] {
			at := binary.LittleEndian.Uint32(edits) % uint32(len(image)-8)
			b, v := image[at:at+8], binary.LittleEndian.Uint64(edits[5:])
			switch was := binary.LittleEndian.Uint64(b); edits[4] % 4 {
			case 0:
				v ^= was
			case 1:
				v += was
			case 2:
				v = was - v
			}
			binary.LittleEndian.PutUint64(b, v)
		}
		r, _, problem := ring.Reborn(image, nil)
		if problem != "" {
			return
		}
		_ = r.SetCursor(cursor) // refused or not
		contents(t, r)
		balanced(t, r)
		drain(r, func(uint64, pdp.Class, []byte) {})
		append1(t, r, 1, 1, 100)
		if got := contents(t, r); len(got) != 1 || got[0] != 1001 {
			t.Fatal(got)
		}
		balanced(t, r)
	})
}
