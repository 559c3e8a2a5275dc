package native

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// matcher takes a value apart: it binds the variables that are unbound at its point and compares the rest. It returns
// false, too, where an error stopped it.
type matcher func(f *frame, x val) bool

// source enumerates the values of a term with unbound variables, binding them.
type source func(s sink) step

// ready says whether all variables of t are bound, so that it has one value at most.
func (v *vars) ready(t *ast.Term) bool {
	switch x := t.Value.(type) {
	case ast.Var:
		return v.bound[x]
	case ast.Ref:
		head, ok := x[0].Value.(ast.Var)
		if ok && !isRoot(head) && !v.bound[head] {
			return false
		}
		for _, o := range x[1:] {
			if !v.ready(o) {
				return false
			}
		}
		return true
	case *ast.Array:
		for i := range x.Len() {
			if !v.ready(x.Elem(i)) {
				return false
			}
		}
		return true
	case ast.Object:
		return !x.Until(func(k, e *ast.Term) bool { return !v.ready(k) || !v.ready(e) })
	case ast.Set:
		return !x.Until(func(e *ast.Term) bool { return !v.ready(e) })
	}
	return true
}

func isRoot(x ast.Var) bool {
	return x == ast.DefaultRootDocument.Value.(ast.Var) || x == ast.InputRootDocument.Value.(ast.Var)
}

func isRef(t *ast.Term) bool {
	_, ok := t.Value.(ast.Ref)
	return ok
}

// unify compiles a = b. Which side is bound where is known: OPA's compiler has put the expressions into an order that
// makes it so.
func (v *vars) unify(a, b *ast.Term) (builder, error) {
	ra, rb := v.ready(a), v.ready(b)
	switch {
	case ra && !rb && isRef(b):
		return v.compareEach(b, a)
	case rb && !ra && isRef(a):
		return v.compareEach(a, b)
	case ra && rb:
		return v.same(a, b)
	case ra:
		return v.take(a, b)
	case rb:
		return v.take(b, a)
	case isRef(a) && isRef(b):
		return v.joinRefs(a, b)
	case isRef(a):
		return v.matchEach(a, b)
	case isRef(b):
		return v.matchEach(b, a)
	}
	return v.decompose(a, b)
}

// same compares two terms that are bound.
func (v *vars) same(a, b *ast.Term) (builder, error) {
	if ast.IsConstant(a.Value) {
		a, b = b, a
	}
	x, err := v.term(a)
	if err != nil {
		return nil, err
	}
	if s, ok := b.Value.(ast.String); ok {
		want := v.c.m.intern(string(s))
		return func(next step) step {
			return func(f *frame) ctl {
				if y := x(f); y.kind != text || y.n != int64(len(want)) || y.str() != want {
					return f.m.failed()
				}
				return next(f)
			}
		}, nil
	}
	y, err := v.term(b)
	if err != nil {
		return nil, err
	}
	return func(next step) step {
		return func(f *frame) ctl {
			p := x(f)
			if p.kind == undefined {
				return f.m.failed()
			}
			if q := y(f); p.kind != q.kind || !f.m.equal(p, q) {
				return f.m.failed()
			}
			return next(f)
		}
	}, nil
}

// take computes one side and matches it against the other.
func (v *vars) take(from, to *ast.Term) (builder, error) {
	get, err := v.term(from)
	if err != nil {
		return nil, err
	}
	if x, ok := to.Value.(ast.Var); ok && !v.bound[x] {
		slot := v.bind(x)
		return func(next step) step {
			return func(f *frame) ctl {
				y := get(f)
				if y.kind == undefined {
					return f.m.failed()
				}
				f.r[slot] = y
				return next(f)
			}
		}, nil
	}
	match, err := v.pattern(to)
	if err != nil {
		return nil, err
	}
	return func(next step) step {
		return func(f *frame) ctl {
			if y := get(f); y.kind == undefined || !match(f, y) {
				return f.m.failed()
			}
			return next(f)
		}
	}, nil
}

// compareEach enumerates a reference and keeps what equals a term that is bound.
func (v *vars) compareEach(ref, t *ast.Term) (builder, error) {
	get, err := v.term(t) // before the reference binds anything
	if err != nil {
		return nil, err
	}
	src, err := v.source(ref)
	return src.equalTo(get), err
}

// equalTo keeps what equals a term that is bound where the source gives it.
func (src source) equalTo(get getter) builder {
	return func(next step) step {
		return src(func(f *frame, x val) ctl {
			if y := get(f); y.kind == undefined || !f.m.equal(x, y) {
				return f.m.failed()
			}
			return next(f)
		})
	}
}

// matchEach enumerates a reference and takes each value apart.
func (v *vars) matchEach(ref, t *ast.Term) (builder, error) {
	hint := v.hint
	src, err := v.source(ref)
	if err != nil {
		return nil, err
	}
	if x, ok := t.Value.(ast.Var); ok && !v.bound[x] {
		slot := v.bind(x)
		if hint != nil {
			hint.slot = slot
		}
		return func(next step) step {
			return src(func(f *frame, x val) ctl {
				f.r[slot] = x
				return next(f)
			})
		}, nil
	}
	match, err := v.pattern(t)
	if err != nil {
		return nil, err
	}
	return func(next step) step {
		return src(func(f *frame, x val) ctl {
			if !match(f, x) {
				return f.m.failed()
			}
			return next(f)
		})
	}, nil
}

// joinRefs enumerates both sides, the left one outside.
func (v *vars) joinRefs(a, b *ast.Term) (builder, error) {
	src, err := v.source(a)
	if err != nil {
		return nil, err
	}
	slot := v.temp()
	if v.ready(b) { // a has bound what b needs
		get, err := v.term(b)
		return src.equalTo(get), err
	}
	other, err := v.source(b)
	if err != nil {
		return nil, err
	}
	return func(next step) step {
		inner := other(func(f *frame, y val) ctl {
			if !f.m.equal(f.r[slot], y) {
				return more
			}
			return next(f)
		})
		return src(func(f *frame, x val) ctl {
			f.r[slot] = x
			return inner(f)
		})
	}, nil
}

// decompose unifies two patterns element by element.
func (v *vars) decompose(a, b *ast.Term) (builder, error) {
	never := func(step) step { return func(*frame) ctl { return more } }
	var xs, ys []*ast.Term
	switch x := a.Value.(type) {
	case *ast.Array:
		y, ok := b.Value.(*ast.Array)
		if !ok {
			if _, isVar := b.Value.(ast.Var); isVar {
				break
			}
			return never, nil
		}
		if x.Len() != y.Len() {
			return never, nil
		}
		for i := range x.Len() {
			xs, ys = append(xs, x.Elem(i)), append(ys, y.Elem(i))
		}
		return v.pairs(xs, ys)
	case ast.Object:
		y, ok := b.Value.(ast.Object)
		if !ok || !constantKeys(x) || !constantKeys(y) {
			break
		}
		if x.Len() != y.Len() {
			return never, nil
		}
		for _, k := range x.Keys() {
			e := y.Get(k)
			if e == nil {
				return never, nil
			}
			xs, ys = append(xs, x.Get(k)), append(ys, e)
		}
		return v.pairs(xs, ys)
	}
	return nil, unable(a.Location, "unification of %v and %v", a, b)
}

func constantKeys(o ast.Object) bool {
	return !o.Until(func(k, _ *ast.Term) bool { return !ast.IsConstant(k.Value) })
}

// pairs unifies one pair after the other.
func (v *vars) pairs(xs, ys []*ast.Term) (builder, error) {
	parts := make([]builder, len(xs))
	for i := range xs {
		p, err := v.unify(xs[i], ys[i])
		if err != nil {
			return nil, err
		}
		parts[i] = p
	}
	return sequence(parts), nil
}

func sequence(parts []builder) builder {
	return func(next step) step {
		for _, p := range slices.Backward(parts) {
			next = p(next)
		}
		return next
	}
}

// pattern compiles the side of a unification that is taken apart.
func (v *vars) pattern(t *ast.Term) (matcher, error) {
	if x, ok := t.Value.(ast.Var); ok && !v.bound[x] {
		slot := v.bind(x)
		return func(f *frame, y val) bool { f.r[slot] = y; return true }, nil
	}
	if s, ok := t.Value.(ast.String); ok {
		return func(_ *frame, y val) bool { return y.kind == text && y.str() == string(s) }, nil
	}
	if v.ready(t) {
		get, err := v.term(t)
		if err != nil {
			return nil, err
		}
		return func(f *frame, y val) bool {
			x := get(f)
			return x.kind != undefined && f.m.equal(x, y)
		}, nil
	}
	switch x := t.Value.(type) {
	case *ast.Array:
		return v.arrayPattern(x)
	case ast.Object:
		return v.objectPattern(x)
	}
	return nil, unable(t.Location, "pattern %v", t)
}

func (v *vars) arrayPattern(x *ast.Array) (matcher, error) {
	parts := make([]matcher, x.Len())
	for i := range parts {
		p, err := v.pattern(x.Elem(i))
		if err != nil {
			return nil, err
		}
		parts[i] = p
	}
	return func(f *frame, y val) bool {
		if y.kind != array || y.size() != len(parts) {
			return false
		}
		n := f.m.lower(y)
		for i, p := range parts {
			if !p(f, n.e[i]) {
				return false
			}
		}
		return true
	}, nil
}

func (v *vars) objectPattern(o ast.Object) (matcher, error) {
	type part struct {
		key   getter
		match matcher
	}
	var parts []part
	for _, k := range o.Keys() {
		if !v.ready(k) {
			return nil, unable(k.Location, "unbound key %v", k)
		}
		key, err := v.term(k)
		if err != nil {
			return nil, err
		}
		match, err := v.pattern(o.Get(k))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{key, match})
	}
	return func(f *frame, y val) bool {
		if y.kind != object || y.size() != len(parts) {
			return false
		}
		for _, p := range parts {
			e := f.m.get(y, p.key(f))
			if e.kind == undefined || !p.match(f, e) {
				return false
			}
		}
		return true
	}, nil
}
