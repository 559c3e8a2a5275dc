package emitter

import "bytes"

// scanner walks JSON that is known to be valid and compact or nearly so; what is not sets bad and ends the walk. It
// builds nothing, so that the pump and the shippers can look into lines without allocating.
type scanner struct {
	b   []byte
	i   int
	bad bool
}

// peek is the first byte of the next value, 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) fail() { s.bad, s.i = true, len(s.b) }

// take consumes c if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

// skip consumes the next value and returns its bytes.
func (s *scanner) skip() []byte {
	c := s.peek()
	start := s.i
	switch c {
	case '"':
		s.str()
	case '{', '[':
		for depth := 0; ; {
			if s.i >= len(s.b) {
				s.fail()
				return nil
			}
			switch s.b[s.i] {
			case '"':
				s.str()
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			s.i++
			if depth == 0 {
				break
			}
		}
	case 0, ',', ':', '}', ']':
		s.fail()
		return nil
	default:
		for s.i < len(s.b) && !isEnd(s.b[s.i]) {
			s.i++
		}
	}
	if s.bad {
		return nil
	}
	return s.b[start:s.i]
}

func isEnd(c byte) bool {
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\n' || c == '\r'
}

// str consumes a string and returns it with its quotes; escaped says that it holds a backslash.
func (s *scanner) str() (raw []byte, escaped bool) {
	start := s.i
	s.i++
	for {
		n := bytes.IndexByte(s.b[min(s.i, len(s.b)):], '"')
		if n < 0 {
			s.fail()
			return nil, false
		}
		end := s.i + n
		back := 0
		for end-1-back > start && s.b[end-1-back] == '\\' {
			back++
		}
		s.i = end + 1
		if back%2 == 0 {
			raw = s.b[start:s.i]
			return raw, bytes.IndexByte(raw, '\\') >= 0
		}
	}
}

// text consumes a string and appends what it says.
func (s *scanner) text(dst []byte) []byte {
	raw, escaped := s.str()
	if s.bad {
		return dst
	}
	if escaped {
		return unquote(dst, raw)
	}
	return append(dst, raw[1:len(raw)-1]...)
}

// eachMember consumes an object. f gets each member's name, as it stands and unescaped, and must consume the value.
func (s *scanner) eachMember(f func(raw, key []byte)) {
	if !s.take('{') {
		s.fail()
		return
	}
	if s.take('}') {
		return
	}
	for !s.bad {
		if s.peek() != '"' {
			s.fail()
			return
		}
		raw, escaped := s.str()
		if s.bad || !s.take(':') {
			s.fail()
			return
		}
		key := raw[1 : len(raw)-1]
		if escaped {
			key = unquote(nil, raw)
		}
		f(raw, key)
		if s.take(',') {
			continue
		}
		if !s.take('}') {
			s.fail()
		}
		return
	}
}

// members consumes an object, skipping each value that f leaves.
func (s *scanner) members(f func(key []byte) (consumed bool)) {
	s.eachMember(func(_, key []byte) {
		if !f(key) {
			s.skip()
		}
	})
}

// eachElement consumes an array. f must consume an element.
func (s *scanner) eachElement(f func()) {
	if !s.take('[') {
		s.fail()
		return
	}
	if s.take(']') {
		return
	}
	for !s.bad {
		f()
		if s.take(',') {
			continue
		}
		if !s.take(']') {
			s.fail()
		}
		return
	}
}
