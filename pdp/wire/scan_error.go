package wire

import (
	"net/http"
	"strconv"

	"thymus/pdp"
)

// maxPath bounds the path of a member at fault, in bytes: it goes back to the caller, who made it.
const maxPath = 256

// malformed is a problem of the body at a position of the text.
func (s *Scanner) malformed(pos int, detail string) *Problem {
	offset := pos - s.base
	s.problem = Problem{Kind: KindMalformed, Status: http.StatusBadRequest, Offset: offset,
		Detail: "offset " + strconv.Itoa(offset) + ": " + detail}
	return &s.problem
}

// atFault is a problem of the member being read.
func (s *Scanner) atFault(pos int, detail string) *Problem {
	p := s.malformed(pos, detail)
	p.Field = s.path()
	return p
}

func (s *Scanner) tooDeep() *Problem {
	return s.atFault(s.pos, "the body is nested deeper than "+strconv.Itoa(s.mode.Depth)+" levels")
}

// unexpected is the problem of the byte at the scanner's position.
func (s *Scanner) unexpected(want string) *Problem {
	switch c := s.text[s.pos]; {
	case s.pos >= s.end && s.end == s.base:
		return s.malformed(s.pos, "the body is empty")
	case s.pos >= s.end:
		return s.malformed(s.pos, "expected "+want+", and the body ends")
	case s.pos == s.base && c == 0xef:
		return s.malformed(s.pos, "expected "+want+", and there is a byte order mark or other text")
	case c > ' ' && c < 0x7f:
		return s.malformed(s.pos, "expected "+want+", and there is '"+string(rune(c))+"'")
	default:
		return s.malformed(s.pos, "expected "+want+", and there is byte 0x"+strconv.FormatUint(uint64(c), 16))
	}
}

// path is the dotted path of the member being read: names of members and indices of elements, from the root.
func (s *Scanner) path() string {
	var b []byte
	for i := range s.stack {
		f := &s.stack[i]
		if i > 0 {
			b = append(b, '.')
		}
		if s.nodes[f.node].Kind == pdp.Array {
			b = strconv.AppendUint(b, uint64(f.n), 10)
		} else {
			b = append(b, s.key(f.name)...)
		}
		if len(b) > maxPath {
			return string(b[:maxPath]) + "..."
		}
	}
	return string(b)
}
