package admin

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"
)

func TestGuessesAreForgottenAndBounded(t *testing.T) {
	var g guesses
	now := time.Unix(1000, 0)
	for range maxGuesses {
		if g.wrong("a", now) != 0 {
			t.Fatal("refused too early")
		}
	}
	if wait := g.wrong("a", now.Add(20*time.Second)); wait != 40*time.Second {
		t.Fatalf("wait %s", wait)
	}
	if g.wrong("b", now) != 0 {
		t.Fatal("one client's guesses count for another")
	}
	if g.wrong("a", now.Add(guessWindow)) != 0 {
		t.Fatal("a new minute does not begin")
	}
	for i := range 3 * maxGuessers {
		g.wrong(fmt.Sprint(i), now.Add(guessWindow))
	}
	if len(g.by) > maxGuessers {
		t.Fatalf("%d clients are remembered", len(g.by))
	}
}

func TestWhoIsOneClient(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[::ffff:192.0.2.1]:5": "192.0.2.1", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64",
		"[2001:db8:1:2:9::9]:7": "2001:db8:1:2::/64", "[fe80::1%eth0]:7": "fe80::/64", "@": "@",
	} {
		if got := client(remote); got != want {
			t.Errorf("%s is %s, want %s", remote, got, want)
		}
	}
}

func TestShapesOfRoutes(t *testing.T) {
	var rs routes
	rs.add("GET", "/v1/policies/stats", nil)
	rs.add("GET", "/v1/policies/{id}", nil)
	rs.add("POST", "/v1/policies/{id}/rollback", nil)
	for target, want := range map[string]string{
		"/v1/policies/stats": "", "/v1/policies/a.b": "a.b", "/v1/policies/a%2Fb": "a/b", "/v1/policies/a%20b?x=/y": "a b",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI = target
		found, _ := rs.find(r)
		if found == nil || r.PathValue("id") != want {
			t.Errorf("%s: %v, id %q", target, found, r.PathValue("id"))
		}
	}
	for target, want := range map[string]string{
		"/v1/policies/": "", "/v1/policies/%zz": "", "/v1/policies/a/b": "", "/v1/policies/a/rollback": "POST",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI = target
		if found, allow := rs.find(r); found != nil || allow != want {
			t.Errorf("%s: %v, allow %q", target, found, allow)
		}
	}
}
