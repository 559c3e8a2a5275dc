package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Bounds on what is taken for a set of keys.
const (
	maxSet  = 1 << 20 // bytes
	maxKeys = 256
	minRSA  = 2048 // bits (RFC 7518, 3.3)
)

// publicKey is one key that may verify.
type publicKey struct {
	id         string // kid; empty where it has none
	raw        any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	algorithms []jwa.SignatureAlgorithm
}

// keySet is what a JWKS document held, immutable.
type keySet struct {
	sum  [sha256.Size]byte // of the document
	keys []publicKey
}

// parseKeys reads a JWKS document. It fails where none of its keys can verify; those of which nothing is understood are
// passed over (RFC 7517, 5): an issuer that adds one of a new kind must not take the others away.
func parseKeys(text []byte) (*keySet, error) {
	if len(text) > maxSet {
		return nil, fmt.Errorf("a key set of at most %d bytes expected", maxSet)
	}
	set, err := jwk.Parse(text, jwk.WithStrictKeySetParsing(false))
	if err != nil {
		return nil, fmt.Errorf("no key set (RFC 7517): %w", err)
	}
	if set.Len() > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d expected", set.Len(), maxKeys)
	}
	s := &keySet{sum: sha256.Sum256(text)}
	for i := range set.Len() {
		k, _ := set.Key(i)
		if p, ok := usable(k); ok {
			s.keys = append(s.keys, p)
		}
	}
	if len(s.keys) == 0 {
		return nil, errors.New("no public key for signatures in the set")
	}
	return s, nil
}

// usable is a key taken apart, if it can verify signatures.
func usable(k jwk.Key) (p publicKey, ok bool) {
	if use, given := k.KeyUsage(); given && use != "sig" {
		return p, false
	}
	if ops, given := k.KeyOps(); given && !slices.Contains(ops, jwk.KeyOpVerify) {
		return p, false
	}
	pub, err := k.PublicKey()
	if err != nil || jwk.Export(pub, &p.raw) != nil {
		return p, false
	}
	p.id, _ = k.KeyID()
	p.algorithms = algorithmsOf(p.raw)
	if alg, given := k.Algorithm(); given {
		p.algorithms = slices.DeleteFunc(p.algorithms, func(a jwa.SignatureAlgorithm) bool { return oneName(a.String()) != oneName(alg.String()) })
	}
	return p, len(p.algorithms) > 0
}

// algorithmsOf is what a type of key can verify.
func algorithmsOf(raw any) []jwa.SignatureAlgorithm {
	switch k := raw.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSA {
			return []jwa.SignatureAlgorithm{jwa.RS256(), jwa.RS384(), jwa.RS512(), jwa.PS256(), jwa.PS384(), jwa.PS512()}
		}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []jwa.SignatureAlgorithm{jwa.ES256()}
		case elliptic.P384():
			return []jwa.SignatureAlgorithm{jwa.ES384()}
		case elliptic.P521():
			return []jwa.SignatureAlgorithm{jwa.ES512()}
		}
	case ed25519.PublicKey:
		return []jwa.SignatureAlgorithm{jwa.EdDSA(), jwa.EdDSAEd25519()}
	}
	return nil
}

// oneName is the name under which an algorithm is configured. Over Ed25519 keys, which are the only ones that count, EdDSA has
// a second name since RFC 9864.
func oneName(alg string) string {
	if alg == "Ed25519" {
		return "EdDSA"
	}
	return alg
}

// candidates are the keys that may have signed with alg under the name kid; without one, all of the kind.
func (s *keySet) candidates(kid, alg string) (out []*publicKey, a jwa.SignatureAlgorithm) {
	for i := range s.keys {
		k := &s.keys[i]
		if kid != "" && k.id != kid {
			continue
		}
		for _, has := range k.algorithms {
			if has.String() == alg {
				out, a = append(out, k), has
			}
		}
	}
	return out, a
}
