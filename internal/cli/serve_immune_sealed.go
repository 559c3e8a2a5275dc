package cli

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// What is sealed:
//
//	 0  8   "thymseal"
//	 8  12  nonce, random
//	20  n   AES-256-GCM of the content, the magic as additional data
//	 +  16  its tag
const sealMagic = "thymseal"

var errSeal = errors.New("not sealed with this directory's key")

// sealer keeps in a file what must not lie there as it is. The key is derived from another secret of the directory, so
// that whoever has the file alone, in a backup or a volume's copy, has nothing of what it holds, not even by guessing.
type sealer struct{ aead cipher.AEAD }

func newSealer(secret []byte, purpose string) (sealer, error) {
	a, err := newAEAD(secret, nil, purpose)
	return sealer{a}, err
}

// newAEAD is AES-256-GCM under a key of its own for each salt and purpose.
func newAEAD(secret, salt []byte, purpose string) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, secret, salt, purpose, 32)
	if err != nil {
		return nil, err
	}
	b, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// seal gives content as it may lie in a file.
func (s sealer) seal(content []byte) []byte {
	head := len(sealMagic) + s.aead.NonceSize()
	out := append(make([]byte, 0, head+len(content)+s.aead.Overhead()), sealMagic...)
	out = out[:head]
	rand.Read(out[len(sealMagic):]) // a few a second: a nonce would come twice after longer than machines last
	return s.aead.Seal(out, out[len(sealMagic):], content, []byte(sealMagic))
}

// open gives back what seal was given; the error is errSeal.
func (s sealer) open(b []byte) ([]byte, error) {
	head := len(sealMagic) + s.aead.NonceSize()
	if len(b) < head || string(b[:len(sealMagic)]) != sealMagic {
		return nil, errSeal
	}
	content, err := s.aead.Open(nil, b[len(sealMagic):head], b[head:], []byte(sealMagic))
	if err != nil {
		return nil, errSeal
	}
	return content, nil
}
