package wire

import (
	"hash/maphash"
	"unicode/utf8"

	"thymus/pdp"
)

// Bounds on what a scanner takes.
const (
	MaxNumber    = 4096 // bytes of a number's text
	MaxExponent  = 4096 // largest exponent of a number, either way
	MaxDataDepth = 1000 // depth of an input on OPA's surface; encoding/json stops at 10,000
	maxBody      = 1 << 30
)

// Mode says how a scanner reads what RFC 8259 leaves open.
type Mode struct {
	Depth   int  // deepest nesting, the outermost value counting 1
	Lenient bool // as encoding/json: of equal keys the last counts, what is no Unicode becomes U+FFFD
}

// Scanner reads JSON texts, one after the other, into tapes. It is owned by one goroutine at a time and keeps its
// memory. The zero value is not usable: see NewScanner.
type Scanner struct {
	problem Problem

	text  []byte // base bytes that are not ours, the body, and pad
	base  int    // where the body begins
	end   int    // where it ends
	pos   int
	nodes []pdp.Node
	stack []frame
	mode  Mode
	drop  bool // nodes marked dropped are on the tape

	seed  maphash.Seed
	table []int32
}

// frame is an open array or object.
type frame struct {
	seen uint64   // a bit for each key's hash: where it is not set, the key is new
	name pdp.Span // of the member being read
	node int32    // index on the tape
	n    uint32   // elements so far
	dup  bool     // lenient: a key came twice
}

// pad stands behind a body: the scanner reads words of 8 bytes, and a zero ends every token.
const pad = "\x00\x00\x00\x00\x00\x00\x00\x00"

// NewScanner makes a scanner.
func NewScanner() *Scanner {
	return &Scanner{seed: maphash.MakeSeed(), stack: make([]frame, 0, 16)}
}

// Scan reads body into doc, whose Text it appends to (spans of nodes that stand there already stay good) and whose
// Nodes it replaces. The problem, if there is one, is lent until the next Scan, and doc then holds nothing of use.
func (s *Scanner) Scan(body []byte, m Mode, doc *pdp.Doc) *Problem {
	s.base = len(doc.Text)
	if len(body) > maxBody {
		return s.malformed(0, "the body is larger than a gigabyte")
	}
	if m.Lenient && !utf8.Valid(body) {
		doc.Text = appendValid(doc.Text, body)
	} else {
		doc.Text = append(doc.Text, body...)
	}
	s.end = len(doc.Text)
	doc.Text = append(doc.Text, pad...)
	s.text, s.pos, s.mode, s.drop = doc.Text, s.base, m, false
	s.nodes, s.stack = doc.Nodes[:0], s.stack[:0]
	p := s.run()
	if s.drop && p == nil {
		s.compact()
	}
	doc.Nodes, doc.Text = s.nodes, s.text[:s.end]
	s.nodes, s.text = nil, nil
	return p
}

// run is the whole grammar: a value, and what may follow it in the container that is open.
func (s *Scanner) run() *Problem {
	var key pdp.Span // of the value that comes next
	var top *frame
	text := s.text
value:
	c := s.skip()
	switch c {
	case '"':
		span, p := s.str()
		if p != nil {
			return p
		}
		s.add(key, pdp.String, span)
	case '{', '[':
		if len(s.stack) >= s.mode.Depth {
			return s.tooDeep()
		}
		kind := pdp.Object
		if c == '[' {
			kind = pdp.Array
		}
		s.stack = append(s.stack, frame{node: int32(len(s.nodes))})
		top = &s.stack[len(s.stack)-1]
		s.add(key, kind, pdp.Span{})
		s.pos++
		next := s.skip()
		if next == c+2 { // '}' is '{'+2, ']' is '['+2
			s.pos++
			goto closed
		}
		if kind == pdp.Array {
			key = pdp.Span{}
			goto value
		}
		goto member
	case 't':
		if !s.literal("true") {
			return s.unexpected("a value")
		}
		s.add(key, pdp.True, pdp.Span{})
	case 'f':
		if !s.literal("false") {
			return s.unexpected("a value")
		}
		s.add(key, pdp.False, pdp.Span{})
	case 'n':
		if !s.literal("null") {
			return s.unexpected("a value")
		}
		s.add(key, pdp.Null, pdp.Span{})
	default:
		if c != '-' && (c < '0' || c > '9') {
			return s.unexpected("a value")
		}
		span, p := s.number()
		if p != nil {
			return p
		}
		s.add(key, pdp.Number, span)
	}
after:
	if top == nil {
		if s.skip(); s.pos != s.end {
			return s.malformed(s.pos, "unexpected content behind the JSON value")
		}
		return nil
	}
	top.n++
	c = s.skip()
	if s.nodes[top.node].Kind == pdp.Array {
		switch c {
		case ',':
			s.pos++
			key = pdp.Span{}
			goto value
		case ']':
			s.pos++
			goto closed
		}
		return s.unexpected("',' or ']'")
	}
	switch c {
	case ',':
		s.pos++
		if s.skip() == '}' {
			return s.unexpected("a member's name")
		}
		goto member
	case '}':
		s.pos++
		goto closed
	}
	return s.unexpected("',' or '}'")

member:
	{
		if text[s.pos] != '"' {
			return s.unexpected("a member's name")
		}
		span, p := s.str()
		if p != nil {
			return p
		}
		key = span
		top.name = span
		bit := keyBit(text, span)
		if top.seen&bit != 0 && top.n < manyMembers {
			if p := s.repeated(top, span); p != nil {
				return p
			}
		}
		top.seen |= bit
		if s.skip() != ':' {
			return s.unexpected("':'")
		}
		s.pos++
		goto value
	}

closed:
	{
		n := &s.nodes[top.node]
		n.Val.Len, n.Next = top.n, int32(len(s.nodes))
		if top.n > manyMembers && n.Kind == pdp.Object || top.dup {
			if p := s.checkMembers(top); p != nil {
				return p
			}
		}
		s.stack = s.stack[:len(s.stack)-1]
		top = nil
		if len(s.stack) > 0 {
			top = &s.stack[len(s.stack)-1]
		}
		goto after
	}
}

func (s *Scanner) add(key pdp.Span, k pdp.Kind, val pdp.Span) {
	s.nodes = append(s.nodes, pdp.Node{Key: key, Val: val, Next: int32(len(s.nodes) + 1), Kind: k})
}

// skip passes white space and returns the byte that stands there: 0 at the end, and where a body has a zero.
func (s *Scanner) skip() byte {
	for {
		c := s.text[s.pos]
		if c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		s.pos++
	}
}

func (s *Scanner) literal(word string) bool {
	if string(s.text[s.pos:s.pos+len(word)]) != word { // pad is longer than any
		return false
	}
	s.pos += len(word)
	return true
}
