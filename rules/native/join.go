package native

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// join is a shortcut through constants. Where a body goes through the elements of a collection and the very next
// expression asks that a field of the element equal something known before, and the collection turns out to be a
// constant, only the elements whose field equals it are visited, and the expression is not evaluated again.
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
	byHash map[uint64][]sameField
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
			if x.path == j.path {
				return x
			}
		}
		x := &joinIndex{path: j.path, byHash: map[uint64][]sameField{}, next: first}
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
	for i := range x.byHash[h] {
		if s := &x.byHash[h][i]; m.equal(s.v, v) {
			s.at = append(s.at, at)
			return
		}
	}
	x.byHash[h] = append(x.byHash[h], sameField{v, []int32{at}})
}

// through visits the elements of a constant that satisfy j, and tells the next expression so.
func (j *join) through(f *frame, k kind, n *node, each func(f *frame, k, x val) ctl) ctl {
	m := f.m
	want := j.want(f)
	if want.kind == undefined {
		return m.failed()
	}
	for _, s := range n.joinIndex(m, k, j).byHash[m.hash(want)] {
		if !m.equal(s.v, want) {
			continue
		}
		for _, i := range s.at {
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
			m.joined = true
			r := each(f, key, x)
			m.joined = false
			if r != more {
				return r
			}
		}
	}
	return more
}

// skipJoined is the expression behind a join: decided already, where the join went through a constant.
func skipJoined(b builder) builder {
	return func(next step) step {
		test := b(next)
		return func(f *frame) ctl {
			if f.m.joined {
				f.m.joined = false
				return next(f)
			}
			return test(f)
		}
	}
}
