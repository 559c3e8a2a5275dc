package native

import (
	"strings"
	"unsafe"

	"github.com/open-policy-agent/opa/v1/ast"
)

// join is a shortcut through constants. Where a body goes through the elements of a collection and the very next
// expression asks that a field of the element equal something known before, and the collection turns out to be a
// constant, only the elements whose field equals it are visited, and the evaluation goes on behind that expression.
type join struct {
	path string // identity of keys, interned
	keys []val  // from the element to the field
	want getter
	slot int  // the element's register
	next step // behind the comparison
}

// joinHint looks whether `x = collection[_]` is followed by a comparison of a field of x.
func (v *vars) joinHint(e, next *ast.Expr) *join {
	if len(e.With)+len(next.With) > 0 || e.Negated || next.Negated || !e.IsEquality() || !next.IsEquality() {
		return nil
	}
	a, b := e.Operand(0), e.Operand(1)
	if isRef(a) {
		a, b = b, a
	}
	x, ok := a.Value.(ast.Var)
	if !ok || v.bound[x] || !isRef(b) || v.ready(b) {
		return nil
	}
	field, want := next.Operand(0), next.Operand(1)
	if !isField(field, x) {
		field, want = want, field
	}
	if !isField(field, x) || !v.ready(want) || !v.c.termCannotFail(want) {
		return nil
	}
	if _, composite := want.Value.(ast.Var); !composite && !isRef(want) && !ast.IsConstant(want.Value) {
		return nil
	}
	get, err := v.term(want)
	if err != nil {
		return nil
	}
	j := &join{want: get}
	for _, t := range field.Value.(ast.Ref)[1:] {
		s := string(t.Value.(ast.String))
		j.keys = append(j.keys, v.c.m.internText(s))
		j.path += s + "\xff"
	}
	j.path = v.c.m.intern(strings.Clone(j.path))
	return j
}

// isField says whether t is constant names below the variable.
func isField(t *ast.Term, x ast.Var) bool {
	ref, ok := t.Value.(ast.Ref)
	if !ok || len(ref) < 2 || ref[0].Value.Compare(x) != 0 {
		return false
	}
	for _, s := range ref[1:] {
		if !isString(s) {
			return false
		}
	}
	return true
}

// joinIndex is one node's elements by the value of one field. A node has as many as policies ask for, in a list that
// only grows: whoever finds one missing makes it, and may find that another was faster.
type joinIndex struct {
	path   string
	fields []sameField
	byHash map[uint64][]int32 // into fields, where those are more than a few
	next   *joinIndex
}

// sameField is the elements whose fields are equal, by their place in node.e, in order.
type sameField struct {
	v  val
	at []int32
}

func (n *node) joinIndex(m *machine, k kind, j *join) *joinIndex {
	for {
		first := n.joins.Load()
		for x := first; x != nil; x = x.next {
			if unsafe.StringData(x.path) == unsafe.StringData(j.path) {
				return x
			}
		}
		x := &joinIndex{path: j.path, byHash: map[uint64][]int32{}, next: first}
		for i := stride(k) - 1; i < len(n.e); i += stride(k) {
			y := n.e[i]
			for _, key := range j.keys {
				if y = m.get(y, key); y.kind == undefined {
					break
				}
			}
			if y.kind != undefined {
				x.add(m, y, int32(i))
			}
		}
		if n.joins.CompareAndSwap(first, x) {
			return x
		}
	}
}

func (x *joinIndex) add(m *machine, v val, at int32) {
	h := m.hash(v)
	for _, i := range x.byHash[h] {
		if s := &x.fields[i]; m.equal(s.v, v) {
			s.at = append(s.at, at)
			return
		}
	}
	x.byHash[h] = append(x.byHash[h], int32(len(x.fields)))
	x.fields = append(x.fields, sameField{v, []int32{at}})
}

// find is the places of the elements whose field equals v.
func (x *joinIndex) find(m *machine, v val) []int32 {
	if len(x.fields) <= fewKeys {
		for i := range x.fields {
			s := &x.fields[i]
			if s.v.kind == v.kind && (v.kind == text && sameText(&s.v, &v) || v.kind != text && m.equal(s.v, v)) {
				return s.at
			}
		}
		return nil
	}
	for _, i := range x.byHash[m.hash(v)] {
		if s := &x.fields[i]; m.equal(s.v, v) {
			return s.at
		}
	}
	return nil
}

// through visits the elements of a constant that satisfy j, and goes on behind the comparison. match is the key's; nil
// where nobody asks for it.
func (j *join) through(f *frame, k kind, n *node, match matcher) ctl {
	m := f.m
	want := j.want(f)
	if want.kind == undefined {
		return m.failed()
	}
	for _, i := range n.joinIndex(m, k, j).find(m, want) {
		if m.tick() {
			return halt
		}
		if match != nil {
			key := n.e[i]
			switch k {
			case array:
				key = intVal(int64(i))
			case object:
				key = n.e[i-1]
			}
			if !match(f, key) {
				if m.err != nil {
					return halt
				}
				continue
			}
		}
		f.r[j.slot] = n.e[i]
		if r := j.next(f); r != more {
			return r
		}
	}
	return more
}

// behind is the expression that j decides: where it went through a constant it goes on behind it.
func (j *join) behind(b builder) builder {
	return func(next step) step {
		j.next = next
		return b(next)
	}
}
