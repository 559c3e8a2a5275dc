package emitter

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Mask removes values from payloads, or replaces them by a keyed hash, before anything leaves the pump. It belongs to
// one goroutine.
//
// A path is member names parted by dots, from the payload down; a step into an array goes into each of its elements.
// What is known to be a copy of a masked value is masked with it: see aliases, and values.
type Mask struct {
	root maskNode
	mac  hash.Hash
	sum  []byte
	text []byte
	// seen are the masked values of the event at hand, unescaped, that its free parts are searched for.
	seen  [][]byte
	store []byte
}

type maskMode uint8

const (
	keep maskMode = iota
	drop
	digest
)

type maskNode struct {
	mode  maskMode
	named []maskChild
}

type maskChild struct {
	name string
	node maskNode
}

// aliases are the members that hold the same value by their meaning: masking one of a line masks all of it.
var aliases = [][]string{
	{"agent_id", "metadata.agent_id", "meta.agent_id", "source", "input.subject.id"},
	{"subject_type", "metadata.subject_type", "meta.subject_type", "input.subject.type"},
	{"agent_role", "metadata.agent_role", "meta.agent_role", "input.subject.properties.role"},
	{"action", "metadata.action", "meta.action", "input.action.name"},
	{"resource", "metadata.resource", "meta.resource", "input.resource.id"},
	{"matched_policy", "result.matched_policy"},
	{"matched_rule", "result.matched_rule"},
	{"reason", "result.reason"},
}

// freeMembers are those that hold whatever a caller put there. A string in them that equals a masked agent_id, source
// or resource is a copy of it, wherever it is.
var freeMembers = []string{"input", "metadata", "meta"}

// MaskError is a path of events.mask that cannot be one.
type MaskError struct {
	Path   string
	Reason string
}

func (e *MaskError) Error() string { return fmt.Sprintf("mask %q: %s", e.Path, e.Reason) }

// NewMask compiles paths of the form "path" (removed) or "path=hash" (replaced by a keyed hash). It returns nil for no
// paths, and an error that names each path that is none.
func NewMask(paths []string, key []byte) (*Mask, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	m := &Mask{mac: hmac.New(sha256.New, key)}
	var errs []error
	for _, p := range paths {
		if err := m.add(p); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return m, nil
}

func (m *Mask) add(p string) error {
	path, how, found := strings.Cut(p, "=")
	mode := drop
	switch {
	case found && how == "hash":
		mode = digest
	case found:
		return &MaskError{p, fmt.Sprintf("%q is no way to mask, \"hash\" or nothing expected", how)}
	}
	steps := strings.Split(path, ".")
	for _, s := range steps {
		if s == "" {
			return &MaskError{p, "an empty step, member names parted by dots expected"}
		}
		if strings.ContainsAny(s, "\"\\ \t\r\n*[]$") {
			return &MaskError{p, fmt.Sprintf("step %q is no plain member name", s)}
		}
	}
	if steps[0] == "payload" {
		return &MaskError{p, "paths begin inside the payload, leave \"payload.\" out"}
	}
	m.root.set(steps, mode)
	for _, group := range aliases {
		if slices.Contains(group, path) {
			for _, other := range group {
				m.root.set(strings.Split(other, "."), mode)
			}
		}
	}
	return nil
}

// set notes the mode for a path; where two modes meet, removing wins.
func (n *maskNode) set(steps []string, mode maskMode) {
	if len(steps) == 0 {
		if n.mode != drop {
			n.mode = mode
		}
		return
	}
	for i := range n.named {
		if n.named[i].name == steps[0] {
			n.named[i].node.set(steps[1:], mode)
			return
		}
	}
	n.named = append(n.named, maskChild{name: steps[0]})
	n.named[len(n.named)-1].node.set(steps[1:], mode)
}

func (n *maskNode) child(name []byte) *maskNode {
	if n == nil {
		return nil
	}
	for i := range n.named {
		if n.named[i].name == string(name) {
			return &n.named[i].node
		}
	}
	return nil
}

// hashed appends the keyed hash of a value as a JSON string: 128 bits of HMAC-SHA-256, so that equal values stay
// joinable whatever field they stand in, and cannot be guessed without the key.
func (m *Mask) hashed(dst, value []byte) []byte {
	m.mac.Reset()
	m.mac.Write(value)
	m.sum = m.mac.Sum(m.sum[:0])
	dst = append(dst, `"hmac:`...)
	dst = hex.AppendEncode(dst, m.sum[:16])
	return append(dst, '"')
}

// MaskKey reads the key of the keyed hash, or makes it: 32 random bytes in a file that its owner alone may read.
func MaskKey(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key := make([]byte, 32)
		rand.Read(key)
		if err := writeFile(path, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("mask key: %w", err)
		}
		return key, nil
	case err != nil:
		return nil, fmt.Errorf("mask key: %w", err)
	}
	if st, err := os.Stat(path); err == nil && st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("mask key: %s: mode %04o, others than its owner must not read it (0600 expected)", path,
			st.Mode().Perm())
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("mask key: %s: 64 hexadecimal digits expected", path)
	}
	return key, nil
}
