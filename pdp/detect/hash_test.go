package detect_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"thymus/pdp/detect"
)

// The first of the test vectors that SipHash's authors publish for 128 bits of output.
func TestHashIsSipHash(t *testing.T) {
	var seed [16]byte
	for i := range seed {
		seed[i] = byte(i)
	}
	if got := hex.EncodeToString(detect.Hash(seed, "")); got != "a3817f04ba25a8e66df67214c7550293" {
		t.Errorf("got %s", got)
	}
}

// Short ways of hashing give what the long one gives.
func TestShortHashesAreTheFirstHalf(t *testing.T) {
	seed := [16]byte{7, 1, 2}
	m := detect.NewMemo(seed)
	texts := []string{"", "a", "1234567", "12345678", "123456789"}
	for n := range 70 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i*37 + n)
		}
		texts = append(texts, string(b), strings.Repeat("x", n), "orders_"+strings.Repeat("y", n))
	}
	for range 3 { // known and unknown
		for _, text := range texts {
			if got, want := m(text), detect.Hash(seed, text)[:8]; !bytes.Equal(got, want) {
				t.Fatalf("%q: got %x, want %x", text, got, want)
			}
		}
	}
}
