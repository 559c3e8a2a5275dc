package pdp_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"thymus/pdp"
)

// encoding/json reads what was written; for valid UTF-8 it also writes the same, but for HTML and the two short escapes.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "0123456789abcdef", "\"\\/\b\f\n\r\t", "\x00\x1f\x7f", "é😀", "\u2028\u2029", "\xff", "a\xffb\xc3",
		"\xed\xa0\x80", "<&>", "seven7\"eight888", "\ufffd", "01234567é", strings.Repeat("x", 100) + "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := pdp.AppendString([]byte("before"), s)
		text, ok := strings.CutPrefix(string(got), "before")
		var back string
		if err := json.Unmarshal([]byte(text), &back); !ok || err != nil {
			t.Fatalf("%q gives %s: %v", s, got, err)
		}
		want := s
		if !utf8.ValidString(s) {
			want = string([]rune(s)) // each bad byte is one U+FFFD
		}
		if back != want {
			t.Fatalf("%q comes back as %q", s, back)
		}
		if strings.ContainsAny(text, "\u2028\u2029") || !utf8.ValidString(text) {
			t.Fatalf("%q gives %s", s, text)
		}
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(want); err != nil {
			t.Fatal(err)
		}
		if std := strings.TrimSuffix(b.String(), "\n"); text != std {
			t.Fatalf("%q gives %s, encoding/json %s", s, text, std)
		}
	})
}
