package guard

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
)

// maxToken bounds a token in bytes; a header that long is refused before it is hashed.
const maxToken = 4096

// Token is a bearer token (RFC 6750) kept in a file. Its methods may be called from many goroutines at once.
type Token struct {
	path string
	sum  atomic.Pointer[[sha256.Size]byte]
}

// OpenToken reads the token in a file: its content without white space around it. files, which may be nil, reads it
// again when the file changes.
func OpenToken(path string, files *Files) (*Token, error) {
	t := &Token{path: path}
	if files == nil {
		return t, t.load()
	}
	return t, files.Add(t.load, path)
}

// EnsureToken is OpenToken of a file that is made, with a random token and readable by its owner only, where there is
// none.
func EnsureToken(path string, files *Files) (*Token, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return OpenToken(path, files)
	}
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	var secret [32]byte
	rand.Read(secret[:]) // never fails: crypto/rand
	_, err = f.WriteString(base64.RawURLEncoding.EncodeToString(secret[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("token file: %w", err), os.Remove(path))
	}
	return OpenToken(path, files)
}

func (t *Token) load() error {
	f, err := os.Open(t.path)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 2*maxToken))
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0:
		return fmt.Errorf("token file %s: empty, a token expected", t.path)
	case len(b) > maxToken:
		return fmt.Errorf("token file %s: a token of at most %d bytes expected", t.path, maxToken)
	case bytes.ContainsAny(b, " \t\r\n\x00"):
		return fmt.Errorf("token file %s: one token without white space in it expected", t.path)
	}
	sum := sha256.Sum256(b)
	t.sum.Store(&sum)
	return nil
}

// Right says whether the value of an Authorization header carries the token. The time it takes does not depend on
// how much of it is right. It allocates nothing.
func (t *Token) Right(authorization []byte) bool {
	b, ok := bearer(authorization)
	if !ok {
		return false
	}
	sum := sha256.Sum256(b)
	return subtle.ConstantTimeCompare(sum[:], t.sum.Load()[:]) == 1
}

// bearer is the token behind the scheme, whose name has no case (RFC 9110, 11.1).
func bearer(v []byte) ([]byte, bool) {
	const scheme = "bearer"
	if len(v) <= len(scheme) || len(v) > len(scheme)+maxToken+16 || v[len(scheme)] != ' ' {
		return nil, false
	}
	for i := range len(scheme) {
		if v[i]|0x20 != scheme[i] {
			return nil, false
		}
	}
	v = bytes.Trim(v[len(scheme):], " ")
	return v, len(v) > 0
}
