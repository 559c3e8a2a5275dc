package token_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"thymus/pdp/extauthz/token"
)

// issuer is what stands behind the URL of the keys.
type issuer struct {
	mu    sync.Mutex
	away  bool
	keys  []any
	asked []time.Time
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = append(i.asked, time.Now())
	if i.away {
		return nil, errors.New("nobody is there")
	}
	b, _ := json.Marshal(m{"keys": i.keys})
	return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(bytes.NewReader(b)), Request: r}, nil
}

func (i *issuer) set(away bool, keys ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away, i.keys = away, keys
}

func (i *issuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.asked)
}

// fetching is a verifier of keys at a URL, in fake time.
func (i *issuer) verifier(t *testing.T, o token.Options) *token.Verifier {
	t.Helper()
	o.JWKS, o.Algorithms, o.Client = "https://idp/keys", []string{"RS256"}, &http.Client{Transport: i}
	v, err := token.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// at signs a token that counts for a day.
func at(t *testing.T, k *rsa.PrivateKey, kid string) string {
	return sign(t, m{"alg": "RS256", "kid": kid}, m{"sub": "bob", "exp": time.Now().Add(96 * time.Hour).Unix()}, k)
}

func reason(v *token.Verifier, tok string) string {
	if _, err := v.Verify(tok); err != nil {
		return err.Error()
	}
	return ""
}

const unknownKey = "no known key could have signed it"

func TestAnUnknownKeyIsFetchedSoonAndOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := testKey()
		i := &issuer{keys: []any{rsaJWK(k, "old")}}
		v := i.verifier(t, token.Options{Refresh: time.Hour})
		old, fresh := at(t, k, "old"), at(t, k, "new")
		if got := reason(v, old); got != "" {
			t.Fatal(got)
		}
		time.Sleep(time.Minute)
		i.set(false, rsaJWK(k, "new"))
		for range 1000 {
			if got := reason(v, fresh); got != unknownKey && got != "" {
				t.Fatalf("around the fetch: %q", got)
			}
		}
		synctest.Wait()
		if n := i.fetches(); n != 2 {
			t.Fatalf("%d fetches, the start's and one for a thousand tokens expected", n)
		}
		if got := reason(v, fresh); got != "" {
			t.Fatalf("after the fetch: %q", got)
		}
		if got := reason(v, old); got != unknownKey {
			t.Fatalf("a token of a key that has gone is remembered: %q", got)
		}
	})
}

func TestWhoShowsUnknownKeysCannotMakeUsFetchAtWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{keys: []any{rsaJWK(testKey(), "k")}}
		v := i.verifier(t, token.Options{Refresh: time.Hour})
		forged := at(t, testKey(), "forged")
		for range 30 * 60 * 10 { // half an hour, ten a second
			if reason(v, forged) != unknownKey {
				t.Fatal("believed")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := i.fetches(); n < 25 || n > 40 {
			t.Fatalf("%d fetches in half an hour", n)
		}
		for j := 1; j < len(i.asked); j++ {
			if d := i.asked[j].Sub(i.asked[j-1]); d < 5*time.Second {
				t.Fatalf("fetches %v apart", d)
			}
		}
	})
}

func TestLastKnownKeysCountUntilTheyAreTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := testKey()
		i := &issuer{keys: []any{rsaJWK(k, "k")}}
		told := make(chan error, 100)
		v := i.verifier(t, token.Options{Refresh: 10 * time.Minute, MaxAge: 2 * time.Hour, Report: func(_ bool, err error) { told <- err }})
		tok := at(t, k, "k")
		time.Sleep(time.Second)
		i.set(true)
		time.Sleep(2*time.Hour - 2*time.Second)
		if got := reason(v, tok); got != "" {
			t.Fatalf("within their age: %q", got)
		}
		time.Sleep(2 * time.Second)
		if got, want := reason(v, tok), "its keys could not be fetched again for too long"; got != want {
			t.Fatalf("%q, want %q", got, want)
		}
		synctest.Wait()
		if n := len(told); n < 10 {
			t.Fatalf("%d reports", n)
		}
		if err := <-told; err != nil {
			t.Fatalf("the start's report: %v", err)
		}
		if err := <-told; err == nil {
			t.Fatal("a failure is not reported")
		}
		i.set(false, rsaJWK(k, "k"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := reason(v, tok); got != "" {
			t.Fatalf("the issuer is back: %q", got)
		}
	})
}

func TestAnIssuerThatIsAwayAtTheStartIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := testKey()
		i := &issuer{away: true}
		v := i.verifier(t, token.Options{Refresh: 10 * time.Minute})
		tok := at(t, k, "k")
		if got, want := reason(v, tok), "no keys are known yet"; got != want {
			t.Fatalf("%q, want %q", got, want)
		}
		time.Sleep(time.Minute)
		i.set(false, rsaJWK(k, "k"))
		time.Sleep(80 * time.Second)
		synctest.Wait()
		if got := reason(v, tok); got != "" {
			t.Fatal(got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := i.fetches(); n < 9 || n > 14 {
			t.Fatalf("%d fetches: %v", n, i.asked)
		}
	})
}

func TestAnswersThatAreNoKeysLeaveTheLastOnes(t *testing.T) {
	k := testKey()
	good, _ := json.Marshal(m{"keys": []any{rsaJWK(k, "k")}})
	short, _ := json.Marshal(m{"keys": []any{m{"kty": "RSA", "kid": "k", "n": b64.EncodeToString(bytes.Repeat([]byte{0xff}, 64)), "e": "AQAB"}}})
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
	}{
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
		{"no key", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[]}`) }},
		{"a key of 512 bits", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(short) }},
		{"a secret", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[{"kty":"oct","kid":"k","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}`)
		}},
		{"a redirect to http", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/keys", http.StatusFound)
		}},
		{"more than a megabyte", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, string(good)+strings.Repeat(" ", 1<<20))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			bad := false
			s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if bad {
					c.serve(w, r)
					return
				}
				_, _ = w.Write(good)
			}))
			defer s.Close()
			client := s.Client()
			client.CheckRedirect = token.Client().CheckRedirect
			told := make(chan error, 16)
			v, err := token.Open(context.Background(), token.Options{
				JWKS: s.URL, Algorithms: []string{"RS256"}, Refresh: 20 * time.Millisecond, Client: client,
				Report: func(_ bool, err error) {
					select {
					case told <- err:
					default:
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if err := <-told; err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			bad = true
			mu.Unlock()
			for err := range told {
				if err != nil {
					t.Log(err)
					break
				}
			}
			if got := reason(v, at(t, k, "k")); got != "" {
				t.Fatal(got)
			}
		})
	}
}
