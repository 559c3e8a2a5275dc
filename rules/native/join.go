package native

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// join is a shortcut through constants. Where a body goes through the elements of a collection and the very next
// expression asks that a field of the element equal something known before, and the collection turns out to be a
// constant, only the elements whose field has that hash are visited. The expression itself is still evaluated: the
// shortcut leaves out elements that would fail there, and nothing else.
type join struct {
	path string // identity of keys
	keys []val  // from the element to the field
	want getter
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
		s := v.c.m.intern(string(t.Value.(ast.String)))
		j.keys = append(j.keys, strVal(s))
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

// joinIndex is one node's elements by the hash of one field. A node has as many as policies ask for, in a list that
// only grows: whoever finds one missing makes it, and may find that another was faster.
type joinIndex struct {
	path   string
	byHash map[uint64][]int32
	next   *joinIndex
}

func (n *node) joinIndex(m *machine, k kind, j *join) *joinIndex {
	for {
		first := n.joins.Load()
		for x := first; x != nil; x = x.next {
			if x.path == j.path {
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
				h := m.hash(y)
				x.byHash[h] = append(x.byHash[h], int32(i))
			}
		}
		if n.joins.CompareAndSwap(first, x) {
			return x
		}
	}
}

// through visits the elements of a constant that can satisfy j.
func (j *join) through(f *frame, k kind, n *node, each func(f *frame, k, x val) ctl) ctl {
	m := f.m
	want := j.want(f)
	if want.kind == undefined {
		return m.failed()
	}
	for _, i := range n.joinIndex(m, k, j).byHash[m.hash(want)] {
		if m.tick() {
			return halt
		}
		key, x := n.e[i], n.e[i]
		switch k {
		case array:
			key = intVal(int64(i))
		case object:
			key = n.e[i-1]
		}
		if r := each(f, key, x); r != more {
			return r
		}
	}
	return more
}
