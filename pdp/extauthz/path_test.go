package extauthz_test

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"thymus/pdp/extauthz"
)

// The table is Envoy's own word: test/mesh writes and checks it.
func TestCanonicalPathsAreEnvoys(t *testing.T) {
	text, err := os.ReadFile("testdata/paths.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 100 {
		t.Fatalf("%d paths, at least 100 expected", len(lines))
	}
	for _, line := range lines {
		raw, want, _ := strings.Cut(line, "\t")
		if _, err := url.PathUnescape(raw); err != nil {
			continue // an escape that is none: parsed_path cannot be read, so the call is denied whatever this says
		}
		got, _, ok := extauthz.Canonical(raw)
		if !ok {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s becomes %s, Envoy makes it %s", raw, got, want)
		}
	}
}

func TestAPathIsAmbiguousWhereAnotherOrderGivesAnother(t *testing.T) {
	for _, c := range []struct {
		raw       string
		ambiguous bool
	}{
		{"/a/b", false}, {"//a//b/", false}, {"/a/../b", false}, {"/a/./b", false}, {"/a%2fb", false}, {"/%61", false},
		{"/a\\b", false}, {"/a%5Cb", false}, {"/%C3%BC", false}, {"/a/..", false},
		{"/a//../b", true}, {"/a%2f..%2fb", true}, {"/a/..%2fb", true}, {"/a/%2e%2e/b", true}, {"/a/%2e/b", true},
		{"/a\\..\\b", true}, {"/a%2f%2e%2e%2fb", true}, {"/a/..;/b", true}, {"/a/.;x/b", true}, {"/a/%2e%2e;/b", true}, {"/a/..%3b/b", false}, {"/a/..;\\b", true},
	} {
		if _, got, ok := extauthz.Canonical(c.raw); got != c.ambiguous || !ok {
			t.Errorf("%s: ambiguous %t, want %t", c.raw, got, c.ambiguous)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"/", "//a/../b%2f%2e", "/\\..\\", "/%41%5c", "/a/.%2e//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, ambiguous, ok := extauthz.Canonical(raw)
		if !ok {
			return
		}
		if path[0] != '/' || strings.Contains(path, "//") && path != "//" || strings.Contains(path, "\\") || strings.Contains(path+"/", "/../") ||
			strings.Contains(path+"/", "/./") {
			t.Fatalf("%q became %q", raw, path)
		}
		if ambiguous {
			return
		}
		if again, _, ok := extauthz.Canonical(path); !ok || again != path {
			if _, err := url.PathUnescape(raw); err == nil {
				t.Fatalf("%q became %q, and that %q", raw, path, again)
			}
		}
	})
}
