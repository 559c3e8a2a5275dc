package wire

import (
	"strconv"

	"thymus/pdp"
)

// number passes a number and returns its text.
func (s *Scanner) number() (pdp.Span, *Problem) {
	text, start := s.text, s.pos
	i := start
	if text[i] == '-' {
		i++
	}
	switch c := text[i]; {
	case c == '0':
		i++
	case c >= '1' && c <= '9':
		for i++; text[i]-'0' <= 9; i++ {
		}
	default:
		s.pos = i
		return pdp.Span{}, s.unexpected("a digit")
	}
	if text[i] == '.' {
		i++
		if text[i]-'0' > 9 {
			s.pos = i
			return pdp.Span{}, s.unexpected("a digit")
		}
		for i++; text[i]-'0' <= 9; i++ {
		}
	}
	if c := text[i]; c == 'e' || c == 'E' {
		i++
		if c := text[i]; c == '+' || c == '-' {
			i++
		}
		if text[i]-'0' > 9 {
			s.pos = i
			return pdp.Span{}, s.unexpected("a digit")
		}
		exp := 0
		for ; text[i]-'0' <= 9; i++ {
			if exp <= MaxExponent {
				exp = exp*10 + int(text[i]-'0')
			}
		}
		if exp > MaxExponent {
			return pdp.Span{}, s.atFault(start, "a number's exponent is beyond "+strconv.Itoa(MaxExponent))
		}
	}
	if i-start > MaxNumber {
		return pdp.Span{}, s.atFault(start, "a number is longer than "+strconv.Itoa(MaxNumber)+" bytes")
	}
	s.pos = i
	return pdp.Span{Off: uint32(start), Len: uint32(i - start)}, nil
}
