package native

import (
	"strings"
	"unsafe"

	"thymus/pdp"
)

// kind is the type of a value. The order is Rego's order of values of different types.
type kind uint8

const (
	undefined kind = iota
	null
	boolean
	number
	text
	array
	object
	set
)

// val is one value, passed by value. What p and n mean depends on the kind:
//
//	boolean        n is 0 or 1
//	number         p nil: n is the integer; else p and n are its JSON text, exact
//	text           p and n are its bytes; mark: of the program, and of two such only those at one address are equal
//	array, object  mark: on the tape, p is the *pdp.Doc, n the index of its node; else p is a *node
//	set            p is a *node
//
// It has four fields and no more: the compiler keeps structs of up to four in registers, and a fifth made every
// evaluation 2.4 times as slow.
//
// Text and tape are lent: they live as long as the request, or as the program where they are constants.
type val struct {
	p    unsafe.Pointer
	n    int64
	kind kind
	mark bool
}

func boolVal(b bool) val {
	if b {
		return val{kind: boolean, n: 1}
	}
	return val{kind: boolean}
}

func intVal(n int64) val { return val{kind: number, n: n} }

func strVal(s string) val {
	return val{kind: text, p: unsafe.Pointer(unsafe.StringData(s)), n: int64(len(s))}
}

// lentText is a text of bytes that are lent, not none.
func lentText(b []byte) val {
	return val{kind: text, p: unsafe.Pointer(&b[0]), n: int64(len(b))}
}

func nodeVal(k kind, n *node) val { return val{kind: k, p: unsafe.Pointer(n)} }

func (v val) isFalse() bool { return v.kind == boolean && v.n == 0 }

// str is the text of a text, or of a number that is held as text.
func (v val) str() string { return unsafe.String((*byte)(v.p), int(v.n)) }

func (v val) node() *node   { return (*node)(v.p) }
func (v val) doc() *pdp.Doc { return (*pdp.Doc)(v.p) }

// lower is the same collection as a node: its own, or one made in the arena from the tape, one level deep.
func (m *machine) lower(v val) *node {
	if !v.mark {
		return v.node()
	}
	return m.fromTape(v)
}

// size is the number of elements or members of a collection.
func (v val) size() int {
	if v.mark {
		return int(v.doc().Nodes[v.n].Val.Len)
	}
	if v.kind == object {
		return len(v.node().e) / 2
	}
	return len(v.node().e)
}

func sameText(a, b *val) bool {
	return a.n == b.n && (a.p == b.p || !(a.mark && b.mark) && a.str() == b.str())
}

// equal is Rego's equality: 1 equals 1.0.
func (m *machine) equal(a, b val) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case text:
		return sameText(&a, &b)
	case boolean:
		return a.n == b.n
	case number:
		return compareNumbers(a, b) == 0
	case array:
		return m.equalArrays(a, b)
	case object:
		return m.equalObjects(a, b)
	case set:
		x, y := a.node(), b.node()
		if x == y {
			return true
		}
		if len(x.e) != len(y.e) {
			return false
		}
		for _, e := range x.e {
			if y.find(m, set, e) < 0 {
				return false
			}
		}
	}
	return true
}

func (m *machine) equalArrays(a, b val) bool {
	if a.size() != b.size() {
		return false
	}
	if a.p == b.p && a.n == b.n && a.mark == b.mark {
		return true
	}
	x, y := m.lower(a), m.lower(b)
	for i := range x.e {
		if !m.equal(x.e[i], y.e[i]) {
			return false
		}
	}
	return true
}

func (m *machine) equalObjects(a, b val) bool {
	if a.size() != b.size() {
		return false
	}
	if a.p == b.p && a.n == b.n && a.mark == b.mark {
		return true
	}
	x, y := m.lower(a), m.lower(b)
	for i := 0; i < len(x.e); i += 2 {
		j := y.find(m, object, x.e[i])
		if j < 0 || !m.equal(x.e[i+1], y.e[j+1]) {
			return false
		}
	}
	return true
}

// compare is Rego's order of all values.
func (m *machine) compare(a, b val) int {
	if a.kind != b.kind {
		return int(a.kind) - int(b.kind)
	}
	switch a.kind {
	case boolean:
		return int(a.n - b.n)
	case number:
		return compareNumbers(a, b)
	case text:
		return strings.Compare(a.str(), b.str())
	case array, object, set:
		x, y := m.lower(a), m.lower(b)
		if x == y {
			return 0
		}
		x.sort(m, a.kind)
		y.sort(m, a.kind)
		if a.kind == object {
			return m.compareObjects(x, y)
		}
		for i := range min(len(x.e), len(y.e)) {
			if c := m.compare(x.e[i], y.e[i]); c != 0 {
				return c
			}
		}
		return len(x.e) - len(y.e)
	}
	return 0
}

// compareObjects compares member by member, the key before the value, in the order of the keys.
func (m *machine) compareObjects(x, y *node) int {
	for i := range min(len(x.e), len(y.e)) {
		if c := m.compare(x.e[i], y.e[i]); c != 0 {
			return c
		}
	}
	return len(x.e) - len(y.e)
}
