package native

import (
	"math"
	"math/big"
)

// collectionBuiltins are those over arrays, objects and sets, and over the numbers in them.
var collectionBuiltins = map[string]native{
	"plus":  integersOr(func(a, b int64) (int64, bool) { s := a + b; return s, (s > a) == (b > 0) }, onDecimals((*big.Float).Add)),
	"minus": integersOr(func(a, b int64) (int64, bool) { s := a - b; return s, (s < a) == (b > 0) }, lessOf),
	"mul":   integersOr(product, onDecimals((*big.Float).Mul)),
	"div":   integersOr(quotient, divided),
	"rem":   integers(func(a, b int64) (int64, bool) { return remainder(a, b), b != 0 }),
	"abs":   smallInteger(func(n int64) int64 { return max(n, -n) }),
	"round": toInteger(true, false),
	"ceil":  toInteger(false, true),
	"floor": toInteger(false, false),

	"and": intersection,
	"or":  union,

	"count":             count,
	"sum":               sum,
	"max":               extremum(1),
	"min":               extremum(-1),
	"sort":              sorted,
	"internal.member_2": member,
	"internal.member_3": memberAt,

	"array.concat":  arrayConcat,
	"array.slice":   arraySlice,
	"array.reverse": arrayReverse,

	"object.get":    objectGet,
	"object.keys":   objectKeys,
	"object.remove": func(m *machine, a []val) (val, bool) { return m.choose(a[0], a[1], false) },
	"object.filter": func(m *machine, a []val) (val, bool) { return m.choose(a[0], a[1], true) },
	"object.union":  objectUnion,

	"object.union_n": objectUnionN,
}

// quotient knows those that are integers, of operands whose quotient OPA computes in integers.
func quotient(a, b int64) (int64, bool) {
	if b == 0 || a == 0 || a != int64(int32(a)) || b != int64(int32(b)) || a%b != 0 {
		return 0, false
	}
	return a / b, true
}

func remainder(a, b int64) int64 {
	if b == 0 {
		return 0
	}
	return a % b
}

func smallInteger(f func(int64) int64) native {
	return func(_ *machine, a []val) (val, bool) {
		return intVal(f(a[0].n)), a[0].isInt() && a[0].n == int64(int32(a[0].n))
	}
}

func intersection(m *machine, a []val) (val, bool) {
	if a[0].kind != set || a[1].kind != set {
		return val{}, false
	}
	x, y, n := a[0].node(), a[1].node(), m.arena.node()
	if len(y.e) < len(x.e) {
		x, y = y, x
	}
	for _, e := range x.e {
		if y.find(m, set, e) >= 0 {
			n.e = append(n.e, e)
		}
	}
	return nodeVal(set, n), true
}

func union(m *machine, a []val) (val, bool) {
	if a[0].kind != set || a[1].kind != set {
		return val{}, false
	}
	x, y := a[0].node(), a[1].node()
	if len(y.e) == 0 {
		return a[0], true
	}
	n := m.arena.node()
	n.e = append(n.e, x.e...)
	for _, e := range y.e {
		n.add(m, e)
	}
	return nodeVal(set, n), true
}

func sum(m *machine, a []val) (val, bool) {
	if a[0].kind != array && a[0].kind != set {
		return val{}, false
	}
	total := int64(0)
	for _, e := range m.lower(a[0]).e {
		if !e.isInt() || e.n > 0 && total > math.MaxInt64-e.n || e.n < 0 && total < math.MinInt64-e.n {
			return val{}, false
		}
		total += e.n
	}
	return intVal(total), true
}

// extremum is the largest element, or the smallest; of equal ones the last, and of none it is undefined.
func extremum(sign int) native {
	return func(m *machine, a []val) (val, bool) {
		if a[0].kind != array && a[0].kind != set {
			return val{}, false
		}
		best := val{}
		for i, e := range m.lower(a[0]).e {
			if i == 0 || sign*m.compare(e, best) >= 0 {
				best = e
			}
		}
		return best, true
	}
}

// sorted leaves arrays with elements that are equal and not the same (1 and 1.0) to OPA: their order is its own.
func sorted(m *machine, a []val) (val, bool) {
	if a[0].kind != array && a[0].kind != set {
		return val{}, false
	}
	n := m.arena.node()
	n.e = append(n.e, m.lower(a[0]).e...)
	n.sorted = false
	n.sort(m, set)
	n.sorted, n.ix = false, n.ix[:0]
	for i := 1; i < len(n.e); i++ {
		if x, y := n.e[i-1], n.e[i]; x.kind >= number && x.kind != text && !(x.isInt() && y.isInt()) && m.compare(x, y) == 0 {
			return val{}, false
		}
	}
	return nodeVal(array, n), true
}

func arrayConcat(m *machine, a []val) (val, bool) {
	if a[0].kind != array || a[1].kind != array {
		return val{}, false
	}
	n := m.arena.node()
	n.e = append(append(n.e, m.lower(a[0]).e...), m.lower(a[1]).e...)
	return nodeVal(array, n), true
}

func arraySlice(m *machine, a []val) (val, bool) {
	if a[0].kind != array || !a[1].isInt() || !a[2].isInt() {
		return val{}, false
	}
	e := m.lower(a[0]).e
	stop := min(max(a[2].n, 0), int64(len(e)))
	start := min(max(a[1].n, 0), stop)
	n := m.arena.node()
	n.e = append(n.e, e[start:stop]...)
	return nodeVal(array, n), true
}

func arrayReverse(m *machine, a []val) (val, bool) {
	if a[0].kind != array {
		return val{}, false
	}
	e, n := m.lower(a[0]).e, m.arena.node()
	for i := len(e) - 1; i >= 0; i-- {
		n.e = append(n.e, e[i])
	}
	return nodeVal(array, n), true
}

func objectKeys(m *machine, a []val) (val, bool) {
	if a[0].kind != object {
		return val{}, false
	}
	n, e := m.arena.node(), m.lower(a[0]).e
	for i := 0; i < len(e); i += 2 {
		n.e = append(n.e, e[i])
	}
	return nodeVal(set, n), true
}

// choose is the members whose keys are among those of a collection, or the others. It knows objects all of whose keys
// are text.
func (m *machine) choose(from, among val, in bool) (val, bool) {
	if from.kind != object || among.kind < array {
		return val{}, false
	}
	keys := m.lower(among)
	if among.kind == array {
		if len(keys.e) > maxParts {
			return val{}, false
		}
		distinct := m.arena.node()
		for _, k := range keys.e {
			distinct.add(m, k)
		}
		keys = distinct
	}
	k := set
	if among.kind == object {
		k = object
	}
	e, n := m.lower(from).e, m.arena.node()
	for i := 0; i < len(e); i += 2 {
		if e[i].kind != text {
			return val{}, false
		}
		if (keys.find(m, k, e[i]) >= 0) == in {
			n.e = append(n.e, e[i], e[i+1])
		}
	}
	return nodeVal(object, n), true
}

// objectUnion knows objects all of whose keys are text, where they meet.
func objectUnion(m *machine, a []val) (val, bool) {
	if a[0].kind != object || a[1].kind != object {
		return val{}, false
	}
	return m.unite(a[0], a[1], 0)
}

// objectUnionN unites from the left; of one object, or none, it is OPA's.
func objectUnionN(m *machine, a []val) (val, bool) {
	if a[0].kind != array {
		return val{}, false
	}
	e := m.lower(a[0]).e
	if len(e) < 2 || len(e) > maxParts {
		return val{}, false
	}
	all := e[0]
	for _, x := range e {
		if x.kind != object {
			return val{}, false
		}
	}
	for _, x := range e[1:] {
		var ok bool
		if all, ok = m.unite(all, x, 0); !ok {
			return val{}, false
		}
	}
	return all, true
}

func (m *machine) unite(a, b val, depth int) (val, bool) {
	x, y, n := m.lower(a), m.lower(b), m.arena.node()
	if depth > maxDepth || !textKeys(x) || !textKeys(y) {
		return val{}, false
	}
	n.e = append(n.e, x.e...)
	for i := 0; i < len(y.e); i += 2 {
		v := y.e[i+1]
		if j := x.find(m, object, y.e[i]); j >= 0 && v.kind == object && x.e[j+1].kind == object {
			var ok bool
			if v, ok = m.unite(x.e[j+1], v, depth+1); !ok {
				return val{}, false
			}
		}
		n.put(m, y.e[i], v)
	}
	return nodeVal(object, n), true
}

func textKeys(n *node) bool {
	for i := 0; i < len(n.e); i += 2 {
		if n.e[i].kind != text {
			return false
		}
	}
	return true
}
