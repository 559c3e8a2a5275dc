package admin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/internal/guard"
	"thymus/pdp/admin"
)

func TestTokenFiles(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []admin.NamedToken
		err        string
	}{
		{"one token may write", "secret\n", []admin.NamedToken{{"token", admin.RoleWrite, "secret"}}, ""},
		{"white space around it does not count", "\n  secret \r\n\n", []admin.NamedToken{{"token", admin.RoleWrite, "secret"}}, ""},
		{"several have names and roles", "# who\nci write a\n\ngrafana\tread\tb\n",
			[]admin.NamedToken{{"ci", admin.RoleWrite, "a"}, {"grafana", admin.RoleRead, "b"}}, ""},
		{"none", " \n# x\n", nil, "empty"},
		{"two words", "ci a\n", nil, "line 1"},
		{"four words", "a\nci write b c\n", nil, "line 2"},
		{"an unknown role", "ci admin a\n", nil, `"admin"`},
		{"a name twice", "ci write a\nci read b\n", nil, "line 2"},
		{"a token twice", "ci write a\ncd read a\n", nil, "line 2"},
		{"two plain tokens", "a\nb\n", nil, "line 2"},
		{"no ASCII", "gehe\u00efm", nil, "ASCII"},
		{"too long", strings.Repeat("x", 4097), nil, "4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := admin.ParseTokens([]byte(c.text))
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("got %v, want %q", err, c.err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %v", got)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("got %v, want %v", got[i], c.want[i])
				}
			}
		})
	}
}

func TestWhoseTokenItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	put := func(text string) {
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil { // at once: a file that is still empty is refused, and told
			t.Fatal(err)
		}
	}
	put("ci write abc\ngrafana read abd\n")
	loaded := make(chan error, 8)
	files := guard.WatchFiles(time.Millisecond, func(_ string, err error) { loaded <- err })
	defer files.Close()
	tokens, err := admin.OpenTokens(path, files)
	if err != nil {
		t.Fatal(err)
	}
	check := func(header, name string) {
		t.Helper()
		c, ok := tokens.Caller(header)
		if ok != (name != "") || c.Name != name {
			t.Errorf("%q is %v, %t", header, c, ok)
		}
	}
	check("Bearer abc", "ci")
	check("bearer abd", "grafana")
	check("BEARER  abd ", "grafana")
	for _, wrong := range []string{"", "abc", "Bearer", "Bearer ", "Bearer ab", "Bearer abcd", "Basic abc", "Bearer abc abd", "Bearer " + strings.Repeat("a", 5000)} {
		check(wrong, "")
	}
	put("ci write xyz\n")
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	check("Bearer abc", "")
	check("Bearer xyz", "ci")
	put("broken line\n")
	for err := range loaded {
		if err != nil {
			break
		}
	}
	check("Bearer xyz", "ci")
}

func TestRecognisingATokenAllocatesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte("ci write abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := admin.OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { tokens.Caller("Bearer abd") }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
