package native

import (
	"math/bits"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// native is a builtin of our own. It answers with false where the arguments are not of the types it knows, and OPA's
// implementation is asked: it has the error message.
type native func(m *machine, a []val) (val, bool)

// natives are the builtins that policies call on every request.
var natives = map[string]native{
	"eq":    func(m *machine, a []val) (val, bool) { return boolVal(m.equal(a[0], a[1])), true },
	"equal": func(m *machine, a []val) (val, bool) { return boolVal(m.equal(a[0], a[1])), true },
	"neq":   func(m *machine, a []val) (val, bool) { return boolVal(!m.equal(a[0], a[1])), true },
	"lt":    func(m *machine, a []val) (val, bool) { return boolVal(m.compare(a[0], a[1]) < 0), true },
	"lte":   func(m *machine, a []val) (val, bool) { return boolVal(m.compare(a[0], a[1]) <= 0), true },
	"gt":    func(m *machine, a []val) (val, bool) { return boolVal(m.compare(a[0], a[1]) > 0), true },
	"gte":   func(m *machine, a []val) (val, bool) { return boolVal(m.compare(a[0], a[1]) >= 0), true },

	"plus":  integers(func(a, b int64) (int64, bool) { s := a + b; return s, (s > a) == (b > 0) }),
	"minus": integersOr(func(a, b int64) (int64, bool) { s := a - b; return s, (s < a) == (b > 0) }, difference),
	"mul":   integers(product),

	"startswith": onTexts(strings.HasPrefix),
	"endswith":   onTexts(strings.HasSuffix),
	"contains":   onTexts(strings.Contains),
	"lower":      onText(func(s string) string { return strings.ToLower(s) }),
	"upper":      onText(func(s string) string { return strings.ToUpper(s) }),

	"internal.member_2": member,
	"internal.member_3": memberAt,
	"count":             count,
	"object.get":        objectGet,

	"concat":            concat,
	"type_name":         typeName,
	"json.marshal":      jsonMarshal,
	"net.cidr_contains": cidrContainsAny,
	"net.cidr_is_valid": cidrIsValid,

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

func integersOr(f func(a, b int64) (int64, bool), other func(m *machine, a, b val) (val, bool)) native {
	return func(m *machine, a []val) (val, bool) {
		if !a[0].isInt() || !a[1].isInt() {
			return other(m, a[0], a[1])
		}
		n, ok := f(a[0].n, a[1].n)
		return intVal(n), ok
	}
}

func product(a, b int64) (int64, bool) {
	if a < 0 || b < 0 {
		return 0, false
	}
	h, l := bits.Mul64(uint64(a), uint64(b))
	return int64(l), h == 0 && l < 1<<63
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

func onTexts(f func(s, t string) bool) native {
	return func(_ *machine, a []val) (val, bool) {
		if a[0].kind != text || a[1].kind != text {
			return val{}, false
		}
		return boolVal(f(a[0].str(), a[1].str())), true
	}
}

func onText(f func(string) string) native {
	return func(_ *machine, a []val) (val, bool) {
		if a[0].kind != text {
			return val{}, false
		}
		return strVal(f(a[0].str())), true
	}
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

// makeText is a text that an evaluation made of b's bytes, which lie at the end of m.text.
func (m *machine) makeText(from int) val {
	b := m.text[from:]
	if len(b) == 0 {
		return val{kind: text}
	}
	return val{kind: text, p: unsafe.Pointer(&b[0]), n: int64(len(b))}
}

// maxConcat is from where on the cost of joining texts is for whoever bounds builtins to judge.
const maxConcat = 1 << 20

func concat(m *machine, a []val) (val, bool) {
	if a[0].kind != text || a[1].kind != array && a[1].kind != set {
		return val{}, false
	}
	n := m.lower(a[1])
	n.sort(m, a[1].kind)
	size := 0
	for _, e := range n.e {
		if e.kind != text {
			return val{}, false
		}
		size += int(e.n + a[0].n)
	}
	if size > maxConcat {
		return val{}, false
	}
	from := len(m.text)
	for i, e := range n.e {
		if i > 0 {
			m.text = append(m.text, a[0].str()...)
		}
		m.text = append(m.text, e.str()...)
	}
	return m.makeText(from), true
}

func typeName(_ *machine, a []val) (val, bool) {
	return strVal([...]string{null: "null", boolean: "boolean", number: "number", text: "string", array: "array", object: "object", set: "set"}[a[0].kind]), true
}

// jsonMarshal knows numbers and booleans, which are their own text.
func jsonMarshal(m *machine, a []val) (val, bool) {
	if a[0].kind != boolean && !a[0].isInt() {
		return val{}, false
	}
	from := len(m.text)
	m.text = m.appendJSON(m.text, a[0])
	return m.makeText(from), true
}
