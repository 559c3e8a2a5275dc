package detect_test

import (
	"encoding/hex"
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
