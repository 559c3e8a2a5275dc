package native

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// targetList is the paths of data that are replaced; inner expressions add to the outer ones'.
type targetList struct {
	path  []val
	outer *targetList
}

// prefixed says whether some replaced path is path or above it.
func (t *targetList) prefixed(m *machine, path []val) bool {
	for ; t != nil; t = t.outer {
		if len(t.path) > len(path) {
			continue
		}
		same := true
		for i, k := range t.path {
			if !m.equal(k, path[i]) {
				same = false
				break
			}
		}
		if same {
			return true
		}
	}
	return false
}

// mockFrame is the functions that one expression replaces. A barrier hides the outer frames: inside a replacement the
// functions are themselves again.
type mockFrame struct {
	name    string
	with    caller // nil: value replaces the result
	value   val
	barrier bool
	outer   *mockFrame
}

func (x *mockFrame) find(name string) *mockFrame {
	for ; x != nil && !x.barrier; x = x.outer {
		if x.name == name {
			return x
		}
	}
	return nil
}

// withPair is one `with` being evaluated: the scope around it and its own.
type withPair struct{ outer, inner scope }

// modifier applies one `with` to the scope being made.
type modifier func(f *frame, s *scope) bool

// with evaluates an expression in a scope of its own; what follows the expression is evaluated in the outer one.
func (v *vars) with(e *ast.Expr) (builder, error) {
	mods := make([]modifier, len(e.With))
	for i, w := range e.With {
		mod, err := v.modifier(w)
		if err != nil {
			return nil, err
		}
		mods[i] = mod
	}
	plain := *e
	plain.With = nil
	inner, err := v.expr(&plain)
	if err != nil {
		return nil, err
	}
	if inner == nil {
		return nil, nil
	}
	return func(next step) step {
		run := inner(func(f *frame) ctl {
			m := f.m
			top := len(m.withs) - 1
			p := m.withs[top]
			m.withs, m.scope = m.withs[:top], p.outer
			c := next(f)
			m.withs, m.scope = append(m.withs, p), p.inner
			return c
		})
		return func(f *frame) ctl {
			m := f.m
			p := withPair{outer: m.scope, inner: m.scope}
			for _, mod := range mods {
				if !mod(f, &p.inner) {
					return m.failed()
				}
			}
			m.genTop++
			p.inner.gen, p.inner.docs = m.genTop, map[int]val{}
			m.withs, m.scope = append(m.withs, p), p.inner
			c := run(f)
			m.withs, m.scope = m.withs[:len(m.withs)-1], p.outer
			return c
		}
	}, nil
}

func (v *vars) modifier(w *ast.With) (modifier, error) {
	ref, ok := w.Target.Value.(ast.Ref)
	if !ok {
		return nil, unable(w.Location, "with target %v", w.Target)
	}
	if v.c.isFunction(ref) || !ref.HasPrefix(ast.DefaultRootRef) && !ref.HasPrefix(ast.InputRootRef) {
		return v.mock(w, ref)
	}
	get, err := v.term(w.Value)
	if err != nil {
		return nil, err
	}
	path := make([]val, 0, len(ref))
	for _, t := range ref[1:] {
		k, err := v.c.m.constant(t.Value)
		if err != nil {
			return nil, unable(w.Location, "with target %v", w.Target)
		}
		path = append(path, k)
	}
	if ref[0].Equal(ast.InputRootDocument) {
		return func(f *frame, s *scope) bool {
			x := get(f)
			if x.kind == undefined {
				return false
			}
			s.input = f.m.replace(s.input, path, x)
			return true
		}, nil
	}
	return func(f *frame, s *scope) bool {
		x := get(f)
		if x.kind == undefined {
			return false
		}
		s.overlay = f.m.replace(s.overlay, path, x)
		s.targets = &targetList{path: path, outer: s.targets}
		return true
	}, nil
}

// replace is a document with the value at a path replaced. What is in the way and no object gives way, as in OPA.
func (m *machine) replace(doc val, path []val, x val) val {
	if len(path) == 0 {
		return x
	}
	n := m.arena.node()
	kid := val{}
	if doc.kind == object {
		n.e = append(n.e, m.lower(doc).e...)
		kid = m.get(doc, path[0])
	}
	n.put(m, path[0], m.replace(kid, path[1:], x))
	return nodeVal(object, n)
}

// mock replaces a function, by another or by a value.
func (v *vars) mock(w *ast.With, ref ast.Ref) (modifier, error) {
	name := ref.String()
	if by, ok := w.Value.Value.(ast.Ref); ok {
		if call, arity, err := v.c.callee(v.g, by); err != nil {
			return nil, err
		} else if call != nil && arity >= 0 {
			return func(_ *frame, s *scope) bool {
				s.mocks = &mockFrame{name: name, with: call, outer: s.mocks}
				return true
			}, nil
		}
	}
	get, err := v.term(w.Value)
	if err != nil {
		return nil, err
	}
	return func(f *frame, s *scope) bool {
		x := get(f)
		if x.kind == undefined {
			return false
		}
		s.mocks = &mockFrame{name: name, value: x, outer: s.mocks}
		return true
	}, nil
}
