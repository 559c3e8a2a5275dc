package wire

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"

	"thymus/pdp"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// str passes a string, from its opening quote on, and returns its text, unescaped in place.
func (s *Scanner) str() (pdp.Span, *Problem) {
	text := s.text
	start := s.pos + 1
	for i := start; ; i += 8 {
		w := binary.LittleEndian.Uint64(text[i:])
		// Below the lowest byte that is marked all are ASCII and nothing borrows, so that it is marked rightly.
		hit := (((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones) | (w - ones*0x20) | w) & highs
		if hit == 0 {
			continue
		}
		i += bits.TrailingZeros64(hit) >> 3
		switch c := text[i]; {
		case c == '"':
			s.pos = i + 1
			return pdp.Span{Off: uint32(start), Len: uint32(i - start)}, nil
		case c >= utf8.RuneSelf:
			return s.strWide(start, i)
		}
		return s.strSlow(start, i)
	}
}

// strWide goes on where str met the first byte that is no ASCII, at i.
func (s *Scanner) strWide(start, i int) (pdp.Span, *Problem) {
	text := s.text
	for {
		w := binary.LittleEndian.Uint64(text[i:])
		// Of each term the lowest byte that is marked is marked rightly; what borrows spoil lies above it.
		quote, escape := w^(ones*'"'), w^(ones*'\\')
		hit := ((quote-ones) & ^quote | (escape-ones) & ^escape | (w-ones*0x20) & ^w) & highs
		if hit == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(hit) >> 3
		break
	}
	if text[i] == '"' {
		s.pos = i + 1
		if !utf8.Valid(text[start:i]) {
			return pdp.Span{}, s.badText(start)
		}
		return pdp.Span{Off: uint32(start), Len: uint32(i - start)}, nil
	}
	return s.strSlow(start, i)
}

// strSlow goes on where str met an escape, a control character or the end: start is the first byte of the string's
// text, i the byte that stopped it. What an escape stands for is never longer than the escape, so the text is written
// over itself.
func (s *Scanner) strSlow(start, i int) (pdp.Span, *Problem) {
	text := s.text
	w, run := i, i // text[run:i] is plain and not yet moved
	if !utf8.Valid(text[start:i]) {
		return pdp.Span{}, s.badText(start)
	}
	for {
		c := text[i]
		switch {
		case c == '"':
			w += copy(text[w:], text[run:i])
			s.pos = i + 1
			return pdp.Span{Off: uint32(start), Len: uint32(w - start)}, nil
		case c == '\\':
			w += copy(text[w:], text[run:i])
			n, size, p := s.escape(i)
			if p != nil {
				return pdp.Span{}, p
			}
			w += utf8.EncodeRune(text[w:w+utf8.UTFMax], n)
			i += size
			run = i
		case c < 0x20:
			s.pos = i
			if i == s.end {
				return pdp.Span{}, s.malformed(i, "the body ends inside a string")
			}
			return pdp.Span{}, s.malformed(i, "a control character stands unescaped in a string")
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(text[i:s.end])
			if r == utf8.RuneError && size == 1 {
				return pdp.Span{}, s.atFault(i, "a string is no valid UTF-8")
			}
			i += size
		}
	}
}

// escape reads the escape at i: what it stands for, and how long it is.
func (s *Scanner) escape(i int) (rune, int, *Problem) {
	switch s.text[i+1] {
	case '"':
		return '"', 2, nil
	case '\\':
		return '\\', 2, nil
	case '/':
		return '/', 2, nil
	case 'b':
		return '\b', 2, nil
	case 'f':
		return '\f', 2, nil
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case 'u':
		r := s.hex4(i + 2)
		if r < 0 {
			return 0, 0, s.malformed(i, "an escape of a string is none: expected \\u and four hexadecimal digits")
		}
		if !utf16.IsSurrogate(r) {
			return r, 6, nil
		}
		if s.text[i+6] == '\\' && s.text[i+7] == 'u' {
			if r2 := utf16.DecodeRune(r, s.hex4(i+8)); r2 != utf8.RuneError {
				return r2, 12, nil
			}
		}
		if s.mode.Lenient {
			return utf8.RuneError, 6, nil
		}
		return 0, 0, s.atFault(i, "a string escapes half of a surrogate pair")
	}
	return 0, 0, s.malformed(i, "an escape of a string is none of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
}

// hex4 is the number of four hexadecimal digits at i, or -1. A body's pad stands for what lies behind its end.
func (s *Scanner) hex4(i int) rune {
	var r rune
	for _, c := range s.text[i:min(i+4, len(s.text))] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return -1
		}
	}
	return r
}

// badText is the problem of a string that begins at start and is no valid UTF-8.
func (s *Scanner) badText(start int) *Problem {
	i := start
	for {
		r, size := utf8.DecodeRune(s.text[i:s.end])
		if r == utf8.RuneError && size <= 1 {
			return s.atFault(i, "a string is no valid UTF-8")
		}
		i += size
	}
}

// appendValid appends b with every byte that is no UTF-8 replaced by U+FFFD, as encoding/json does in strings. Outside
// of strings either is refused.
func appendValid(dst, b []byte) []byte {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, "\ufffd"...)
		} else {
			dst = append(dst, b[:size]...)
		}
		b = b[size:]
	}
	return dst
}
