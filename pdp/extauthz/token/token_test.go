package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/pdp/extauthz/token"
)

var b64 = base64.RawURLEncoding

type m = map[string]any

// sign makes a token with standard-library crypto alone: no code is shared with what is tested.
func sign(t testing.TB, header, claims m, key any) string {
	t.Helper()
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	return signText(t, string(h), string(c), key)
}

func signText(t testing.TB, header, claims string, key any) string {
	t.Helper()
	text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, k, sum[:]); err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(text))
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(text))
		sig = mac.Sum(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64.EncodeToString(sig)
}

func rsaJWK(k *rsa.PrivateKey, kid string) m {
	return m{"kty": "RSA", "kid": kid, "use": "sig", "n": b64.EncodeToString(k.N.Bytes()), "e": "AQAB"}
}

func ecJWK(k *ecdsa.PrivateKey, kid string) m {
	p, _ := k.PublicKey.Bytes()
	return m{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64.EncodeToString(p[1:33]), "y": b64.EncodeToString(p[33:])}
}

// zeroed is a token whose signature is nothing but zeros.
func zeroed(tok string) string {
	i := strings.LastIndexByte(tok, '.')
	return tok[:i+1] + b64.EncodeToString(make([]byte, 64))
}

// respelt is a token whose signature is written in the alphabet of base64 instead of base64url's.
func respelt(tok string) string {
	i := strings.LastIndexByte(tok, '.')
	return tok[:i] + strings.NewReplacer("-", "+", "_", "/").Replace(tok[i:])
}

// pemOf is a public key as people would copy it into a configuration.
func pemOf(k *rsa.PrivateKey) []byte {
	der, _ := x509.MarshalPKIXPublicKey(&k.PublicKey)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestOnlyWhatIsSignedForUsAndInTimeIsBelieved(t *testing.T) {
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	other, _ := rsa.GenerateKey(rand.Reader, 2048)
	e, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	edPublic, ed, _ := ed25519.GenerateKey(rand.Reader)
	set, _ := json.Marshal(m{"keys": []any{rsaJWK(r, "r1"), ecJWK(e, "e1"), m{"kty": "oct", "kid": "h", "k": "c2VjcmV0"},
		m{"kty": "OKP", "crv": "Ed25519", "kid": "d1", "x": b64.EncodeToString(edPublic)},
		m{"kty": "OKP", "crv": "Ed25519", "kid": "d2", "alg": "Ed25519", "x": b64.EncodeToString(edPublic)}}})
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1700000000, 0)
	v, err := token.Open(context.Background(), token.Options{
		JWKS: file, Issuer: "https://idp", Audience: []string{"shop", "api"}, Algorithms: []string{"RS256", "ES256", "EdDSA"},
		Leeway: 30 * time.Second, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	with := func(more m) m {
		c := m{"iss": "https://idp", "aud": "shop", "sub": "bob", "exp": now.Unix() + 60}
		for k, x := range more {
			if c[k] = x; x == nil {
				delete(c, k)
			}
		}
		return c
	}
	rs := func(more m) m {
		h := m{"alg": "RS256", "kid": "r1"}
		for k, x := range more {
			if h[k] = x; x == nil {
				delete(h, k)
			}
		}
		return h
	}
	pub, _ := json.Marshal(rsaJWK(r, "r1"))
	good := sign(t, rs(nil), with(nil), r)
	for i := 0; !strings.ContainsAny(good[strings.LastIndexByte(good, '.'):], "-_"); i++ { // for the alphabet's sake
		good = sign(t, rs(nil), with(m{"jti": i}), r)
	}
	for _, c := range []struct {
		name  string
		token string
		valid bool
	}{
		{"RS256", good, true},
		{"ES256", sign(t, m{"alg": "ES256", "kid": "e1"}, with(nil), e), true},
		{"EdDSA", sign(t, m{"alg": "EdDSA", "kid": "d1"}, with(nil), ed), true},
		{"EdDSA by its newer name", sign(t, m{"alg": "Ed25519", "kid": "d1"}, with(nil), ed), true},
		{"EdDSA of a key that says the newer name", sign(t, m{"alg": "EdDSA", "kid": "d2"}, with(nil), ed), true},
		{"EdDSA over another curve", sign(t, m{"alg": "Ed448", "kid": "d1"}, with(nil), ed), false},
		{"a signature of zeros", zeroed(sign(t, m{"alg": "ES256", "kid": "e1"}, with(nil), e)), false},
		{"an RSA signature said to be ECDSA", sign(t, m{"alg": "ES256", "kid": "e1"}, with(nil), r), false},
		{"no exp", sign(t, rs(nil), with(m{"exp": nil}), r), false},
		{"a key in its own header", sign(t, rs(m{"kid": nil, "jwk": rsaJWK(other, "x"), "jku": "https://evil/keys"}), with(nil), other), false},
		{"none in other letters", b64.EncodeToString([]byte(`{"alg":"nOnE"}`)) + good[strings.IndexByte(good, '.'):], false},
		{"an algorithm twice", signText(t, `{"alg":"RS256","alg":"RS256","kid":"r1"}`, `{"sub":"bob"}`, r), false},
		{"an algorithm in small letters", sign(t, rs(m{"alg": "rs256"}), with(nil), r), false},
		{"the public key in PEM as a secret", sign(t, rs(m{"alg": "HS256"}), with(nil), pemOf(r)), false},
		{"two tokens joined by a comma", good + "," + good, false},
		{"a token with a space", good + " ", false},
		{"padding in its parts", strings.Replace(good, ".", "=.", 1), false},
		{"no kid", sign(t, rs(m{"kid": nil}), with(nil), r), true},
		{"one of several audiences", sign(t, rs(nil), with(m{"aud": []string{"x", "api"}}), r), true},
		{"expired within the leeway", sign(t, rs(nil), with(m{"exp": now.Unix() - 29}), r), true},
		{"expired", sign(t, rs(nil), with(m{"exp": now.Unix() - 30}), r), false},
		{"not yet valid", sign(t, rs(nil), with(m{"nbf": now.Unix() + 31}), r), false},
		{"exp is no number", sign(t, rs(nil), with(m{"exp": "1800000000"}), r), false},
		{"another issuer", sign(t, rs(nil), with(m{"iss": "https://evil"}), r), false},
		{"no issuer", sign(t, rs(nil), with(m{"iss": nil}), r), false},
		{"another audience", sign(t, rs(nil), with(m{"aud": "x"}), r), false},
		{"no audience", sign(t, rs(nil), with(m{"aud": nil}), r), false},
		{"another key", sign(t, rs(nil), with(nil), other), false},
		{"an unknown key id", sign(t, rs(m{"kid": "zz"}), with(nil), r), false},
		{"a key of another type", sign(t, rs(m{"kid": "e1"}), with(nil), r), false},
		{"an algorithm that is not listed", sign(t, rs(m{"alg": "PS256"}), with(nil), r), false},
		{"the public key as a secret", sign(t, rs(m{"alg": "HS256"}), with(nil), pub), false},
		{"the set's secret", sign(t, m{"alg": "HS256", "kid": "h"}, with(nil), []byte("secret")), false},
		{"none", b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b64.EncodeToString([]byte(`{"sub":"bob"}`)) + ".", false},
		{"an unknown extension", sign(t, rs(m{"crit": []string{"x"}, "x": 1}), with(nil), r), false},
		{"a line break in its signature", good[:len(good)-4] + "\n" + good[len(good)-4:], false},
		{"the other alphabet of base64", respelt(good), false},
		{"bits behind its signature's end", good[:len(good)-1] + string(good[len(good)-1]+1), false},
		{"a signature cut off", good[:len(good)-4], false},
		{"no token", "abc", false},
		{"empty", "", false},
	} {
		claims, err := v.Verify(c.token)
		if (err == nil) != c.valid {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.valid && len(claims) == 0 {
			t.Errorf("%s: no claims", c.name)
		}
	}
}

func TestAKeyThatIsNotUnderstoodTakesNoOtherAway(t *testing.T) {
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	file := filepath.Join(t.TempDir(), "jwks.json")
	for _, c := range []struct {
		name string
		key  any
	}{
		{"of a new type", m{"kty": "AKP", "kid": "pq", "alg": "ML-DSA-65", "pub": "AAAA"}},
		{"on a curve that is not known", m{"kty": "EC", "kid": "k", "crv": "P-1024", "x": "AAAA", "y": "AAAA"}},
		{"that agrees on secrets", m{"kty": "OKP", "kid": "x", "crv": "X25519", "x": b64.EncodeToString(make([]byte, 32))}},
		{"for a use that is not known", m{"kty": "RSA", "kid": "t", "use": "tls-client", "n": b64.EncodeToString(r.N.Bytes()), "e": "AQAB"}},
		{"without its members", m{"kty": "RSA", "kid": "half"}},
		{"without a type", m{"kid": "none"}},
		{"that is no object", "key"},
	} {
		set, _ := json.Marshal(m{"keys": []any{c.key, rsaJWK(r, "r1")}})
		if err := os.WriteFile(file, set, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := token.Open(context.Background(), token.Options{JWKS: file, Algorithms: []string{"RS256"}})
		if err != nil {
			t.Errorf("a key %s: %v", c.name, err)
			continue
		}
		if _, err := v.Verify(sign(t, m{"alg": "RS256", "kid": "r1"}, m{"sub": "bob", "exp": time.Now().Add(time.Hour).Unix()}, r)); err != nil {
			t.Errorf("a key %s: a token of the other one: %v", c.name, err)
		}
		v.Close()
		alone, _ := json.Marshal(m{"keys": []any{c.key}})
		if err := os.WriteFile(file, alone, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := token.Open(context.Background(), token.Options{JWKS: file, Algorithms: []string{"RS256"}}); err == nil {
			t.Errorf("a key %s alone: expected an error", c.name)
		}
	}
}
