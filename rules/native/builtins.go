package native

import (
	"math/big"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// native is a builtin of our own. It answers with false where the arguments are not of the types it knows, and OPA's
// implementation is asked: it has the error message.
type native func(m *machine, a []val) (val, bool)

// ownBuiltin is this package's implementation; nil where it has none.
func ownBuiltin(name string) native {
	for _, table := range [...]map[string]native{natives, textBuiltins, collectionBuiltins, timeBuiltins, tokenBuiltins, printing, graphBuiltins, patternBuiltins, unitBuiltins} {
		if f := table[name]; f != nil {
			return f
		}
	}
	return nil
}

// natives are comparisons, and questions about a value.
var natives = map[string]native{
	"eq":    func(m *machine, a []val) (val, bool) { return boolVal(m.equal(a[0], a[1])), true },
	"equal": func(m *machine, a []val) (val, bool) { return boolVal(m.equal(a[0], a[1])), true },
	"neq":   func(m *machine, a []val) (val, bool) { return boolVal(!m.equal(a[0], a[1])), true },
	"lt":    func(m *machine, a []val) (val, bool) { return boolVal(m.compare(a[0], a[1]) < 0), true },
	"lte":   func(m *machine, a []val) (val, bool) { return boolVal(m.compare(a[0], a[1]) <= 0), true },
	"gt":    func(m *machine, a []val) (val, bool) { return boolVal(m.compare(a[0], a[1]) > 0), true },
	"gte":   func(m *machine, a []val) (val, bool) { return boolVal(m.compare(a[0], a[1]) >= 0), true },

	"type_name":           typeName,
	"net.cidr_contains":   cidrContainsAny,
	"net.cidr_intersects": cidrIntersects,
	"net.cidr_is_valid":   cidrIsValid,

	"is_string":  isKind(text),
	"is_number":  isKind(number),
	"is_boolean": isKind(boolean),
	"is_array":   isKind(array),
	"is_object":  isKind(object),
	"is_set":     isKind(set),
	"is_null":    isKind(null),
}

// tests2 are the builtins that conditions are made of, without the detour over the stack of arguments.
var tests2 = map[string]func(m *machine, a, b val) (yes, known bool){
	"equal":      func(m *machine, a, b val) (bool, bool) { return m.equal(a, b), true },
	"neq":        func(m *machine, a, b val) (bool, bool) { return !m.equal(a, b), true },
	"lt":         func(m *machine, a, b val) (bool, bool) { return m.compare(a, b) < 0, true },
	"lte":        func(m *machine, a, b val) (bool, bool) { return m.compare(a, b) <= 0, true },
	"gt":         func(m *machine, a, b val) (bool, bool) { return m.compare(a, b) > 0, true },
	"gte":        func(m *machine, a, b val) (bool, bool) { return m.compare(a, b) >= 0, true },
	"startswith": startsWith,
	"endswith": func(_ *machine, a, b val) (bool, bool) {
		return bothTexts(a, b) && strings.HasSuffix(a.str(), b.str()), bothTexts(a, b)
	},
	"contains": func(_ *machine, a, b val) (bool, bool) {
		return bothTexts(a, b) && strings.Contains(a.str(), b.str()), bothTexts(a, b)
	},
	"internal.member_2": memberOf,
}

func bothTexts(a, b val) bool { return a.kind == text && b.kind == text }

func startsWith(_ *machine, a, b val) (yes, known bool) {
	if !bothTexts(a, b) {
		return false, false
	}
	return a.n >= b.n && a.str()[:b.n] == b.str(), true
}

func isKind(k kind) native {
	return func(_ *machine, a []val) (val, bool) { return boolVal(a[0].kind == k), true }
}

func integers(f func(a, b int64) (int64, bool)) native {
	return integersOr(f, func(*machine, val, val) (val, bool) { return val{}, false })
}

// integersOr asks other where the operands are no integers, or what comes out is none.
func integersOr(f func(a, b int64) (int64, bool), other func(m *machine, a, b val) (val, bool)) native {
	return func(m *machine, a []val) (val, bool) {
		if a[0].isInt() && a[1].isInt() {
			if n, ok := f(a[0].n, a[1].n); ok {
				return intVal(n), true
			}
		}
		return other(m, a[0], a[1])
	}
}

func product(a, b int64) (int64, bool) {
	if a == int64(int32(a)) && b == int64(int32(b)) {
		return a * b, true
	}
	if a < 0 || b < 0 {
		return 0, false
	}
	h, l := bits.Mul64(uint64(a), uint64(b))
	return int64(l), h == 0 && l < 1<<63
}

// lessOf is minus of decimals, and of sets.
func lessOf(m *machine, a, b val) (val, bool) {
	if a.kind == set {
		return difference(m, a, b)
	}
	return onDecimals((*big.Float).Sub)(m, a, b)
}

func difference(m *machine, a, b val) (val, bool) {
	if a.kind != set || b.kind != set {
		return val{}, false
	}
	n, x := m.arena.node(), b.node()
	for _, e := range a.node().e {
		if x.find(m, set, e) < 0 {
			n.e = append(n.e, e)
		}
	}
	return nodeVal(set, n), true
}

func member(m *machine, a []val) (val, bool) {
	yes, ok := memberOf(m, a[0], a[1])
	return boolVal(yes), ok
}

func memberOf(m *machine, x, in val) (bool, bool) {
	switch in.kind {
	case set:
		return in.node().find(m, set, x) >= 0, true
	case array, object:
		n := m.lower(in)
		for i := stride(in.kind) - 1; i < len(n.e); i += stride(in.kind) {
			if m.equal(n.e[i], x) {
				return true, true
			}
		}
	}
	return false, true
}

func memberAt(m *machine, a []val) (val, bool) {
	if a[2].kind == undefined || a[2].kind < array {
		return boolVal(false), true
	}
	x := m.get(a[2], a[0])
	return boolVal(x.kind != undefined && m.equal(x, a[1])), true
}

func count(_ *machine, a []val) (val, bool) {
	switch a[0].kind {
	case array, object, set:
		return intVal(int64(a[0].size())), true
	case text:
		return intVal(int64(utf8.RuneCountInString(a[0].str()))), true
	}
	return val{}, false
}

func objectGet(m *machine, a []val) (val, bool) {
	if a[0].kind != object {
		return val{}, false
	}
	if a[1].kind != array {
		if x := m.get(a[0], a[1]); x.kind != undefined {
			return x, true
		}
		return a[2], true
	}
	x := a[0]
	path := m.lower(a[1])
	if len(path.e) == 0 {
		return x, true
	}
	for _, k := range path.e {
		if x = m.get(x, k); x.kind == undefined {
			return a[2], true
		}
	}
	return x, true
}

func typeName(_ *machine, a []val) (val, bool) {
	return strVal([...]string{null: "null", boolean: "boolean", number: "number", text: "string", array: "array", object: "object", set: "set"}[a[0].kind]), true
}
