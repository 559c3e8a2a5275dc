package wire

import (
	"hash/maphash"

	"thymus/pdp"
)

// manyMembers is how many members of an object are compared one by one where their bits meet; larger objects are
// checked once, through a hash table, when they close. So no body makes the check quadratic.
const manyMembers = 32

// dropped marks a node that a later member of the same name outranks. It never leaves the scanner.
const dropped pdp.Kind = 0x80

// keyBit is a bit that equal keys share.
func keyBit(text []byte, k pdp.Span) uint64 {
	h := k.Len
	if h > 0 {
		h = h*31 + uint32(text[k.Off])*7 + uint32(text[k.Off+k.Len-1])*13 + uint32(text[k.Off+k.Len/2])
	}
	return 1 << (h & 63)
}

// repeated looks for key among the members of top that came before.
func (s *Scanner) repeated(top *frame, key pdp.Span) *Problem {
	name := s.key(key)
	for c := top.node + 1; int(c) < len(s.nodes); c = s.nodes[c].Next {
		if k := s.nodes[c].Key; k.Len == key.Len && string(s.key(k)) == string(name) {
			if s.mode.Lenient {
				top.dup = true
				return nil
			}
			return s.duplicate(key)
		}
	}
	return nil
}

func (s *Scanner) key(k pdp.Span) []byte { return s.text[k.Off : k.Off+k.Len] }

func (s *Scanner) duplicate(key pdp.Span) *Problem {
	return s.atFault(int(key.Off)-1, "an object has two members of this name")
}

// checkMembers looks for equal keys in the closed object of top, in time that grows with their number.
func (s *Scanner) checkMembers(top *frame) *Problem {
	size := 64
	for size < 2*int(top.n) {
		size *= 2
	}
	if cap(s.table) < size {
		s.table = make([]int32, size)
	}
	table := s.table[:size]
	clear(table)
	end := s.nodes[top.node].Next
	for c := top.node + 1; c < end; c = s.nodes[c].Next {
		name := s.key(s.nodes[c].Key)
		for h := maphash.Bytes(s.seed, name); ; h++ {
			slot := &table[h&uint64(size-1)]
			if *slot == 0 {
				*slot = c
				break
			}
			if string(s.key(s.nodes[*slot].Key)) != string(name) {
				continue
			}
			if !s.mode.Lenient {
				top.name = s.nodes[c].Key
				return s.duplicate(s.nodes[c].Key)
			}
			s.nodes[*slot].Kind |= dropped
			s.nodes[top.node].Val.Len--
			s.drop = true
			*slot = c
			break
		}
	}
	return nil
}

// compact takes the dropped nodes, and all below them, off the tape. The scanner's stack, which is empty by now, holds
// the containers that are open on the way: node their new index, n where they ended.
func (s *Scanner) compact() {
	w := int32(0)
	open := s.stack[:0]
	for i := int32(0); int(i) < len(s.nodes); {
		for len(open) > 0 && open[len(open)-1].n <= uint32(i) {
			s.nodes[open[len(open)-1].node].Next = w
			open = open[:len(open)-1]
		}
		n := s.nodes[i]
		if n.Kind&dropped != 0 {
			i = n.Next
			continue
		}
		if n.Kind >= pdp.Array {
			open = append(open, frame{node: w, n: uint32(n.Next)})
		}
		n.Next = w + 1
		s.nodes[w] = n
		w++
		i++
	}
	for _, f := range open {
		s.nodes[f.node].Next = w
	}
	s.nodes, s.stack = s.nodes[:w], open[:0]
}
