package admin

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"thymus/internal/guard"
)

// Role is what a token may do.
type Role string

// The roles. Writing includes reading.
const (
	RoleRead  Role = "read"
	RoleWrite Role = "write"
)

// Bounds of a token file, and the name of a token that has none.
const (
	maxTokenFile = 64 << 10
	maxTokens    = 100
	maxToken     = 4096
	plainName    = "token"
)

// NamedToken is one line of a token file.
type NamedToken struct {
	Name  string // who it is, in revisions and logs
	Role  Role
	Token string
}

// ParseTokens reads a token file: one token and nothing else, which may write, or lines of three words,
//
//	# name     role   token
//	grafana    read   7Qd0...
//	pipeline   write  nF3x...
//
// where empty lines and lines that begin with # count for nothing. Names and tokens are unique.
func ParseTokens(text []byte) ([]NamedToken, error) {
	if len(text) > maxTokenFile {
		return nil, fmt.Errorf("expected at most %d bytes", maxTokenFile)
	}
	var out []NamedToken
	names, tokens := map[string]bool{}, map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxTokenFile+1)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		t := NamedToken{Name: plainName, Role: RoleWrite, Token: words[len(words)-1]}
		switch {
		case len(words) == 3:
			t.Name, t.Role = words[0], Role(words[1])
		case len(words) != 1:
			return nil, fmt.Errorf("line %d: expected a token, or a name, a role and a token", n)
		}
		switch {
		case t.Role != RoleRead && t.Role != RoleWrite:
			return nil, fmt.Errorf("line %d: got the role %q, expected read or write", n, t.Role)
		case len(t.Name) > 64 || strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' || r > '~' }):
			return nil, fmt.Errorf("line %d: expected a name of up to 64 printable ASCII characters", n)
		case len(t.Token) > maxToken || strings.ContainsFunc(t.Token, func(r rune) bool { return r < ' ' || r > '~' }):
			return nil, fmt.Errorf("line %d: expected a token of up to %d printable ASCII characters", n, maxToken)
		case names[t.Name]:
			return nil, fmt.Errorf("line %d: the name %q is there twice", n, t.Name)
		case tokens[t.Token]:
			return nil, fmt.Errorf("line %d: another line has the same token", n)
		case len(out) == maxTokens:
			return nil, fmt.Errorf("line %d: expected at most %d tokens", n, maxTokens)
		}
		names[t.Name], tokens[t.Token] = true, true
		out = append(out, t)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("empty, a token expected")
	}
	return out, nil
}

// Tokens are the bearer tokens (RFC 6750) of a file. Its methods may be called from many goroutines at once.
type Tokens struct {
	path string
	set  atomic.Pointer[[]secret]

	mu      sync.Mutex
	holders map[*holder]struct{}
}

// holder is who was let in for longer than one answer.
type holder struct {
	authorization string
	end           func()
}

type secret struct {
	sum    [sha256.Size]byte
	caller Caller
}

// Caller is who asks.
type Caller struct {
	Name string
	Role Role
}

// OpenTokens reads a token file. files, which may be nil, reads it again when the file changes; one that cannot be read
// then leaves the tokens that were right before.
func OpenTokens(path string, files *guard.Files) (*Tokens, error) {
	t := &Tokens{path: path}
	if files == nil {
		return t, t.load()
	}
	return t, files.Add(t.load, path)
}

func (t *Tokens) load() error {
	f, err := os.Open(t.path)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	named, err := ParseTokens(text)
	if err != nil {
		return fmt.Errorf("token file %s: %w", t.path, err)
	}
	set := make([]secret, len(named))
	for i, n := range named {
		set[i] = secret{sha256.Sum256([]byte(n.Token)), Caller{n.Name, n.Role}}
	}
	t.set.Store(&set)
	t.mu.Lock()
	defer t.mu.Unlock()
	for h := range t.holders {
		if _, ok := t.Caller(h.authorization); !ok {
			h.end()
		}
	}
	return nil
}

// hold calls end, which must not block, once the token of an Authorization header is none any more, until stop is called.
func (t *Tokens) hold(authorization string, end func()) (stop func()) {
	h := &holder{authorization, end}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holders == nil {
		t.holders = map[*holder]struct{}{}
	}
	t.holders[h] = struct{}{}
	if _, ok := t.Caller(authorization); !ok { // since it was asked
		end()
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.holders, h)
	}
}

// Caller is whose token the value of an Authorization header carries; false where it is nobody's. The time it takes
// depends neither on how much of it is right nor on whose it is.
func (t *Tokens) Caller(authorization string) (c Caller, ok bool) {
	const scheme = "bearer "
	if len(authorization) <= len(scheme) || len(authorization) > len(scheme)+maxToken+16 ||
		!strings.EqualFold(authorization[:len(scheme)], scheme) {
		return Caller{}, false
	}
	sum := sha256.Sum256([]byte(strings.Trim(authorization[len(scheme):], " ")))
	set := *t.set.Load()
	found := -1
	for i := range set {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], set[i].sum[:]), i, found)
	}
	if found < 0 {
		return Caller{}, false
	}
	return set[found].caller, true
}

type callerKey struct{}

// anybody is who asks where no token is asked for.
func anybody() Caller { return Caller{Name: "anonymous", Role: RoleWrite} }

func withCaller(r *http.Request, c Caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

func callerOf(r *http.Request) Caller {
	if c, ok := r.Context().Value(callerKey{}).(Caller); ok {
		return c
	}
	return anybody()
}
