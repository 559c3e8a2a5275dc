package extauthz

import (
	"strings"
	"unicode/utf8"
	"unsafe"
)

// maxHeader bounds a header value that we make, in bytes, escapes included.
const maxHeader = 1024

// appendVisible appends s with all but visible ASCII percent-encoded, and the percent sign itself, so that it can be read
// back. It stops before dst would grow by more than limit bytes, never inside a character.
func appendVisible(dst []byte, s string, limit int) []byte {
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		need := n
		if n > 1 || s[0] <= ' ' || s[0] >= 0x7f || s[0] == '%' {
			need = 3 * n
		}
		if need > limit {
			return dst
		}
		limit -= need
		if need == n {
			dst = append(dst, s[0])
		} else {
			for _, c := range []byte(s[:n]) {
				dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
			}
		}
		s = s[n:]
	}
	return dst
}

// appendValue appends a header's value that a policy made: what no header may hold is percent-encoded, the rest is the
// author's.
func appendValue(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// queryPart is a name or a value that a policy puts into a query. Envoy writes both as they come: what would end the query
// or the request line is percent-encoded. What parts parameters and what is encoded already is the author's.
func queryPart(s string) string {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '#' {
			dst := append([]byte(nil), s[:i]...)
			for ; i < len(s); i++ {
				if c := s[i]; c <= ' ' || c > '~' || c == '#' {
					dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
				} else {
					dst = append(dst, c)
				}
			}
			return string(dst)
		}
	}
	return s
}

// isToken says whether s may name a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9':
		case c == '!' || c == '#' || c == '$' || c == '%' || c == '&' || c == '\'' || c == '*' || c == '+' || c == '-' ||
			c == '.' || c == '^' || c == '_' || c == '`' || c == '|' || c == '~':
		default:
			return false
		}
	}
	return s != ""
}

// lowered says whether a equals b, which is in lower case, but for the case of ASCII letters.
func lowered(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		c := a[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != b[i] {
			return false
		}
	}
	return true
}

// lend is b as a string that shares its memory.
func lend(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func validText(s string) bool { return utf8.ValidString(s) }

// appendUTF8 appends s with what is no UTF-8 replaced.
func appendUTF8(dst []byte, s string) []byte { return append(dst, strings.ToValidUTF8(s, "\ufffd")...) }
