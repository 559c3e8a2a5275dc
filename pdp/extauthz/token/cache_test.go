package token_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thymus/pdp/extauthz/token"
)

// shop is a verifier of RS256 tokens over a file of keys, with a clock of its own.
type shop struct {
	*token.Verifier
	key *rsa.PrivateKey
	now atomic.Int64
}

func open(t testing.TB, o token.Options) *shop {
	t.Helper()
	s := &shop{key: testKey()}
	s.now.Store(1700000000)
	set, _ := json.Marshal(m{"keys": []any{rsaJWK(s.key, "r1")}})
	o.JWKS, o.Algorithms = filepath.Join(t.TempDir(), "jwks.json"), []string{"RS256"}
	o.Now = func() time.Time { return time.Unix(s.now.Load(), 0) }
	if err := os.WriteFile(o.JWKS, set, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.Verifier, err = token.Open(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// testKey makes one key for all tests: making one takes a tenth of a second.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// token signs claims, nil ones left out.
func (s *shop) token(t testing.TB, claims m) string {
	c := m{"sub": "bob", "exp": s.now.Load() + 60}
	for k, v := range claims {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return sign(t, m{"alg": "RS256", "kid": "r1"}, c, s.key)
}

func TestWhatIsRememberedEndsWithItsTimes(t *testing.T) {
	s := open(t, token.Options{Leeway: 5 * time.Second})
	start := s.now.Load()
	tok := s.token(t, m{"nbf": start - 100})
	for _, c := range []struct {
		at    int64
		cause string
	}{
		{0, ""}, {30, ""}, {64, ""}, {65, "it has expired"}, {10, ""}, {-104, ""}, {-106, "it is not valid yet"}, {0, ""}, {1 << 30, "it has expired"},
	} {
		s.now.Store(start + c.at)
		for range 2 {
			if _, err := s.Verify(tok); (err == nil) != (c.cause == "") || err != nil && err.Error() != c.cause {
				t.Errorf("after %d s: %v, want %q", c.at, err, c.cause)
			}
		}
	}
}

func TestATokenWithoutExpCountsOnlyIfTheOperatorSaysSo(t *testing.T) {
	for _, eternal := range []bool{false, true} {
		s := open(t, token.Options{Eternal: eternal})
		tok := s.token(t, m{"exp": nil})
		for range 2 {
			if _, err := s.Verify(tok); (err == nil) != eternal || err != nil && err.Error() != "it has no exp" {
				t.Errorf("eternal %t: %v", eternal, err)
			}
		}
	}
}

func TestTimesBeyondAllYearsAreFarAwayAndNothingElse(t *testing.T) {
	s := open(t, token.Options{})
	for _, c := range []struct {
		claims string
		valid  bool
	}{
		{`{"sub":"b","exp":1e300}`, true}, {`{"sub":"b","exp":9223372036854775807}`, true}, {`{"sub":"b","exp":-1e300}`, false},
		{`{"sub":"b","exp":1700000001,"nbf":-1e300}`, true}, {`{"sub":"b","exp":1e300,"nbf":1e299}`, false},
		{`{"sub":"b","exp":1700000000.5}`, true}, {`{"sub":"b","exp":1700000000}`, false}, {`{"sub":"b","exp":null}`, false},
		{`{"sub":"b","exp":[1800000000]}`, false}, {`{"sub":"b","exp":1800000000,"iat":"1"}`, false},
		{`{"sub":"b","exp":1800000000,"exp":1600000000}`, false}, {`{"exp":1800000000}`, true}, {`[]`, false}, {`"x"`, false}, {`{`, false}, {``, false},
	} {
		if _, err := s.Verify(signText(t, `{"alg":"RS256","kid":"r1"}`, c.claims, s.key)); (err == nil) != c.valid {
			t.Errorf("%s: %v", c.claims, err)
		}
	}
}

func TestMoreTokensThanAreRememberedAreAllBelieved(t *testing.T) {
	s := open(t, token.Options{})
	tokens := make([]string, 64)
	for i := range tokens {
		tokens[i] = s.token(t, m{"sub": strings.Repeat("x", i*100) + strconv.Itoa(i)}) // some of them too large to remember
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for round := range 4 {
				for i := range tokens {
					i := (i*7 + g + round) % len(tokens)
					claims, err := s.Verify(tokens[i])
					if err != nil || !strings.Contains(string(claims), `x`+strconv.Itoa(i)+`"`) && i > 0 {
						t.Errorf("token %d: %v %.80s", i, err, claims)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestATokenIsVerifiedOnceAndThenFoundWithoutMemory(t *testing.T) {
	s := open(t, token.Options{})
	tok := s.token(t, nil)
	first, err := s.Verify(tok)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if again, err := s.Verify(tok); err != nil || &again[0] != &first[0] {
			t.Fatal("verified again")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
	forged := tok[:len(tok)-8] + "AAAAAAA" + tok[len(tok)-1:]
	for range 2 {
		if _, err := s.Verify(forged); err == nil {
			t.Fatal("another signature below the same claims is believed")
		}
	}
}

// An RS256 token of 600 bytes, verified and remembered.
//
//	go test -run - -bench Verify -count 6 ./pdp/extauthz/token | benchstat -col /token -
func BenchmarkVerify(b *testing.B) {
	s := open(b, token.Options{})
	known := s.token(b, m{"name": strings.Repeat("n", 120)})
	long := s.token(b, m{"name": strings.Repeat("n", 4<<10)})
	for _, c := range []struct{ name, token string }{{"known", known}, {"new", long}} {
		b.Run("token="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Verify(c.token); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// Nothing but the one token with the right signature is ever believed.
func FuzzVerify(f *testing.F) {
	s := open(f, token.Options{Eternal: true})
	good := s.token(f, nil)
	for _, seed := range []string{good, "", "..", "a.b.c", good[:len(good)-1], good + "A", strings.Replace(good, ".", "..", 1),
		b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b64.EncodeToString([]byte(`{"sub":"x"}`)) + ".",
		b64.EncodeToString([]byte(`{"alg":"RS256","kid":1}`)) + ".e30.AAAA",
		b64.EncodeToString([]byte(`{"alg":"RS256","crit":["b64"],"b64":false}`)) + ".e30.AAAA"} {
		f.Add(seed)
	}
	want := strings.Split(good, ".")
	f.Fuzz(func(t *testing.T, tok string) {
		if _, err := s.Verify(tok); err == nil {
			if got := strings.Split(tok, "."); got[0] != want[0] || got[1] != want[1] {
				t.Fatalf("believed: %q", tok)
			}
		} else if strings.ContainsAny(err.Error(), "\r\n\x00") {
			t.Fatalf("a reason that is no line: %q", err)
		}
	})
}

// Any document is read or refused.
func FuzzKeys(f *testing.F) {
	r, _ := json.Marshal(m{"keys": []any{rsaJWK(testKey(), "r1")}})
	for _, seed := range []string{string(r), `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"kty":"RSA","n":"AQ","e":"AQAB"}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`, `[]`, ``, `{"keys":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, text []byte) { _ = token.ParseKeys(text) })
}
