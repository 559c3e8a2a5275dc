package native

import (
	"hash/maphash"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/open-policy-agent/opa/v1/ast"
)

// node is a collection that an evaluation or the compiler built. A frozen one is a constant: it is sorted, indexed and
// hashed before it is shared, and never written again.
type node struct {
	e      []val   // array: elements. set: members. object: key, value, key, value
	ix     []int32 // open addressing over keys: position in e and one, 0 where free; empty while few
	px     []int32 // of a constant: the same over the addresses of its texts
	h      uint64
	hashed bool
	sorted bool
	frozen bool
	opa    ast.Value                 // of a constant, for builtins that are OPA's
	owner  *group                    // whose rules put members here, one by one
	joins  atomic.Pointer[joinIndex] // of a constant
}

// open says whether a rule of g may put members into n: it was made on the way to another of g's.
func (n *node) open(g *group) bool { return n.owner == g }

// fewKeys is up to how many keys a scan beats a hash.
const (
	fewKeys  = 8
	fewTexts = 16 // of a collection that grows, where the key is a text
)

var hashSeed = maphash.MakeSeed()

func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}

func stride(k kind) int {
	if k == object {
		return 2
	}
	return 1
}

// hash is equal for equal values.
func (m *machine) hash(v val) uint64 {
	switch v.kind {
	case boolean, null:
		return mix(uint64(v.kind)<<8 | uint64(v.n))
	case number:
		return hashNumber(v)
	case text:
		return maphash.String(hashSeed, v.str())
	case array, object, set:
		return m.lower(v).hash(m, v.kind)
	}
	return 0
}

func (n *node) hash(m *machine, k kind) uint64 {
	if n.hashed {
		return n.h
	}
	h := mix(uint64(k) + 77)
	switch k {
	case array:
		for _, e := range n.e {
			h = mix(h*31 + m.hash(e))
		}
	case set:
		for _, e := range n.e {
			h += mix(m.hash(e))
		}
	case object:
		for i := 0; i < len(n.e); i += 2 {
			h += mix(m.hash(n.e[i])*31 + m.hash(n.e[i+1]))
		}
	}
	n.h, n.hashed = h, true
	return h
}

// find is the position of a key in e, or -1.
func (n *node) find(m *machine, k kind, key val) int {
	st := stride(k)
	if key.mark && key.kind == text && len(n.px) > 0 {
		return n.findAddress(&key)
	}
	if len(n.e) <= fewKeys*st || len(n.ix) == 0 && key.kind == text && len(n.e) <= fewTexts*st {
		if key.kind == text {
			for i := 0; i < len(n.e); i += st {
				if e := &n.e[i]; e.kind == text && sameText(e, &key) {
					return i
				}
			}
			return -1
		}
		for i := 0; i < len(n.e); i += st {
			if m.equal(n.e[i], key) {
				return i
			}
		}
		return -1
	}
	if len(n.ix) == 0 {
		n.index(m, k)
	}
	mask := len(n.ix) - 1
	for i := int(m.hash(key)) & mask; ; i = (i + 1) & mask {
		p := int(n.ix[i]) - 1
		if p < 0 {
			return -1
		}
		if m.equal(n.e[p], key) {
			return p
		}
	}
}

// findAddress finds a text of the program among those of a constant, which are the program's too.
func (n *node) findAddress(key *val) int {
	mask := len(n.px) - 1
	for i := addressHash(key) & mask; ; i = (i + 1) & mask {
		p := int(n.px[i]) - 1
		if p < 0 {
			return -1
		}
		if e := &n.e[p]; e.p == key.p && e.n == key.n {
			return p
		}
	}
}

func addressHash(v *val) int { return int(mix(uint64(uintptr(v.p))+uint64(v.n)) >> 1) }

// indexAddresses is index for findAddress.
func (n *node) indexAddresses(st int) {
	n.px = make([]int32, len(n.ix))
	mask := len(n.px) - 1
	for at := 0; at < len(n.e); at += st {
		if n.e[at].kind != text || !n.e[at].mark {
			continue
		}
		i := addressHash(&n.e[at]) & mask
		for n.px[i] != 0 {
			i = (i + 1) & mask
		}
		n.px[i] = int32(at + 1)
	}
}

func (n *node) index(m *machine, k kind) {
	st, size := stride(k), 32
	for size < len(n.e)/st*2 {
		size *= 2
	}
	if cap(n.ix) < size {
		n.ix = make([]int32, size)
	} else {
		n.ix = n.ix[:size]
		clear(n.ix)
	}
	for i := 0; i < len(n.e); i += st {
		n.enter(m, i)
	}
}

func (n *node) enter(m *machine, pos int) {
	mask := len(n.ix) - 1
	i := int(m.hash(n.e[pos])) & mask
	for n.ix[i] != 0 {
		i = (i + 1) & mask
	}
	n.ix[i] = int32(pos + 1)
}

func (n *node) added(m *machine, k kind, pos int) {
	n.sorted, n.hashed = false, false
	if len(n.ix) == 0 {
		return
	}
	if len(n.e)/stride(k)*2 > len(n.ix) {
		n.ix = n.ix[:0]
		return
	}
	n.enter(m, pos)
}

// add puts v into a set; of equal values the first stays.
func (n *node) add(m *machine, v val) {
	if n.find(m, set, v) >= 0 {
		return
	}
	n.e = append(n.e, v)
	n.added(m, set, len(n.e)-1)
}

// put sets a member of an object. Of equal keys the first stays, with the last value.
func (n *node) put(m *machine, k, v val) {
	if i := n.find(m, object, k); i >= 0 {
		n.e[i+1], n.hashed = v, false
		return
	}
	n.e = append(n.e, k, v)
	n.added(m, object, len(n.e)-2)
}

// sort puts members into Rego's order, in which they are enumerated.
func (n *node) sort(m *machine, k kind) {
	if n.sorted || k == array {
		return
	}
	if !n.inOrder(m, k) {
		if k == set && sortTexts(n.e) {
		} else if k == set {
			slices.SortFunc(n.e, m.compare)
		} else {
			pairs := unsafe.Slice((*[2]val)(unsafe.Pointer(&n.e[0])), len(n.e)/2)
			slices.SortFunc(pairs, func(a, b [2]val) int { return m.compare(a[0], b[0]) })
		}
		n.ix = n.ix[:0]
	}
	n.sorted = true
}

// inOrder says whether the members are sorted, and sorts few of them.
func (n *node) inOrder(m *machine, k kind) bool {
	st := stride(k)
	if len(n.e) > fewKeys*st {
		for i := st; i < len(n.e); i += st {
			if m.compare(n.e[i-st], n.e[i]) > 0 {
				return false
			}
		}
		return true
	}
	for i := st; i < len(n.e); i += st {
		for j := i; j > 0 && m.compare(n.e[j-st], n.e[j]) > 0; j -= st {
			for o := range st {
				n.e[j-st+o], n.e[j+o] = n.e[j+o], n.e[j-st+o]
				n.ix = n.ix[:0]
			}
		}
	}
	return true
}

// freeze makes a constant of n and all below it.
func (n *node) freeze(m *machine, k kind) {
	if n.frozen {
		return
	}
	for _, e := range n.e {
		if e.kind >= array && !e.mark {
			e.node().freeze(m, e.kind)
		}
	}
	n.sort(m, k)
	if k != array && len(n.e) > fewKeys*stride(k) {
		n.index(m, k)
		n.indexAddresses(stride(k))
	}
	n.hash(m, k)
	n.opa = m.toAST(nodeVal(k, n))
	settle(n.opa)
	n.frozen = true
}

// settle makes OPA compute now what it would compute on first use, because constants are shared between goroutines.
func settle(v ast.Value) {
	_ = v.Hash()
	switch v := v.(type) {
	case ast.Object:
		_ = v.Keys()
	case ast.Set:
		_ = v.Slice()
	}
}

// arena is the memory of one evaluation. Nodes keep the capacity of their elements from one evaluation to the next.
type arena struct {
	chunks [][]node
	chunk  int
	used   int
	alone  bool // there are no chunks: constants come and go one by one
}

const (
	arenaChunk = 128
	arenaKeep  = 64   // chunks that survive a reset
	nodeKeep   = 1024 // elements that a node keeps room for
)

func (a *arena) node() *node {
	if a.chunk == len(a.chunks) {
		if a.alone {
			return new(node)
		}
		a.chunks = append(a.chunks, make([]node, arenaChunk))
	}
	n := &a.chunks[a.chunk][a.used]
	if a.used++; a.used == arenaChunk {
		a.chunk, a.used = a.chunk+1, 0
	}
	return n
}

// reset forgets everything, so that nothing keeps a request's memory alive.
func (a *arena) reset() {
	for c := 0; c <= a.chunk && c < len(a.chunks); c++ {
		n := arenaChunk
		if c == a.chunk {
			n = a.used
		}
		for i := range n {
			x := &a.chunks[c][i]
			clear(x.e)
			if x.e = x.e[:0]; cap(x.e) > nodeKeep {
				x.e, x.ix = nil, nil
			}
			x.ix, x.hashed, x.sorted, x.h, x.owner = x.ix[:0], false, false, 0, nil
		}
	}
	if len(a.chunks) > arenaKeep {
		clear(a.chunks[arenaKeep:])
		a.chunks = a.chunks[:arenaKeep]
	}
	a.chunk, a.used = 0, 0
}
