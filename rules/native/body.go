package native

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// builder links a compiled expression to what follows it.
type builder func(next step) step

// body compiles expressions in the order OPA's compiler left them in.
func (v *vars) body(b ast.Body) (builder, error) {
	parts := make([]builder, 0, len(b))
	var joined *join // decides this expression
	for i, e := range b {
		if ok, err := v.alias(e, b[i+1:]); err != nil {
			return nil, err
		} else if ok {
			continue
		}
		v.hint = nil
		if i+1 < len(b) && joined == nil {
			v.hint = v.joinHint(e, b[i+1])
		}
		hint := v.hint
		p, err := v.expr(e)
		if err != nil {
			return nil, err
		}
		if joined != nil {
			p = joined.behind(p)
		}
		joined = hint
		if p != nil {
			parts = append(parts, p)
		}
	}
	return sequence(parts), nil
}

// expr compiles one expression; nil where it always holds.
func (v *vars) expr(e *ast.Expr) (builder, error) {
	if len(e.With) > 0 {
		return v.with(e)
	}
	if e.Negated {
		pos := *e
		pos.Negated = false
		return v.not(ast.Body{&pos})
	}
	switch t := e.Terms.(type) {
	case *ast.Term:
		return v.truth(t)
	case []*ast.Term:
		if (e.IsEquality() || e.IsAssignment()) && len(t) == 3 {
			return v.unify(t[1], t[2])
		}
		return v.call(e, t)
	case *ast.Every:
		return v.every(t)
	case *ast.Not:
		return v.not(t.Body)
	case *ast.LogicalAnd:
		return v.logical(t.Lhs, t.Rhs, true)
	case *ast.LogicalOr:
		return v.logical(t.Lhs, t.Rhs, false)
	}
	return nil, unable(e.Location, "expression of type %T", e.Terms)
}

// truth holds for every value of a term but false.
func (v *vars) truth(t *ast.Term) (builder, error) {
	if x, ok := t.Value.(ast.Boolean); ok && bool(x) {
		return nil, nil
	}
	if !v.ready(t) {
		src, err := v.source(t)
		if err != nil {
			return nil, err
		}
		return func(next step) step {
			return src(func(f *frame, x val) ctl {
				if x.isFalse() {
					return more
				}
				return next(f)
			})
		}, nil
	}
	get, err := v.term(t)
	if err != nil {
		return nil, err
	}
	return func(next step) step {
		return func(f *frame) ctl {
			if x := get(f); x.kind == undefined || x.isFalse() {
				return f.m.failed()
			}
			return next(f)
		}
	}, nil
}

// exists compiles a closed body into a question with the answer yes or no. Where the body could fail with an error, all
// of its solutions are looked at, as OPA does; first says that OPA stops at the first too.
func (v *vars) exists(b ast.Body, first bool) (func(f *frame) (bool, bool), error) {
	in := v.inner()
	build, err := in.body(b)
	if err != nil {
		return nil, err
	}
	flag := v.temp()
	answer := more
	if first || v.c.bodyCannotFail(b) {
		answer = enough
	}
	run := build(func(f *frame) ctl {
		f.r[flag] = boolVal(true)
		return answer
	})
	return func(f *frame) (yes, ok bool) {
		f.r[flag] = val{}
		if run(f) == halt {
			return false, false
		}
		return f.r[flag].kind != undefined, true
	}, nil
}

func (v *vars) not(b ast.Body) (builder, error) {
	ask, err := v.exists(b, false)
	if err != nil {
		return nil, err
	}
	return func(next step) step {
		return func(f *frame) ctl {
			yes, ok := ask(f)
			if !ok {
				return halt
			}
			if yes {
				return more
			}
			return next(f)
		}
	}, nil
}

// logical is `and` and `or` of closed bodies.
func (v *vars) logical(lhs, rhs ast.Body, and bool) (builder, error) {
	l, err := v.exists(lhs, true)
	if err != nil {
		return nil, err
	}
	r, err := v.exists(rhs, true)
	if err != nil {
		return nil, err
	}
	return func(next step) step {
		return func(f *frame) ctl {
			yes, ok := l(f)
			if ok && yes == and {
				yes, ok = r(f)
			}
			if !ok {
				return halt
			}
			if !yes {
				return more
			}
			return next(f)
		}
	}, nil
}

func (v *vars) every(e *ast.Every) (builder, error) {
	domain, err := v.term(e.Domain)
	if err != nil {
		return nil, err
	}
	in := v.inner()
	var key matcher
	if e.Key != nil {
		if key, err = in.pattern(e.Key); err != nil {
			return nil, err
		}
	}
	value, err := in.pattern(e.Value)
	if err != nil {
		return nil, err
	}
	ask, err := in.exists(e.Body, true)
	if err != nil {
		return nil, err
	}
	each := func(f *frame, k, x val) ctl {
		if key != nil && !key(f, k) || !value(f, x) {
			return f.m.failed()
		}
		yes, ok := ask(f)
		switch {
		case !ok:
			return halt
		case !yes:
			return enough
		}
		return more
	}
	return func(next step) step {
		return func(f *frame) ctl {
			d := domain(f)
			if d.kind < array {
				return f.m.failed()
			}
			switch f.m.enumerate(f, d, each) {
			case halt:
				return halt
			case enough: // an element without a solution
				return more
			}
			return next(f)
		}
	}, nil
}

// enumerate calls each for every element of a collection, in Rego's order.
func (m *machine) enumerate(f *frame, v val, each func(f *frame, k, x val) ctl) ctl {
	if v.kind < array {
		return more
	}
	if v.mark && v.kind == array { // in place
		d := v.doc()
		end, i := d.Nodes[v.n].Next, int64(0)
		for c := int32(v.n) + 1; c < end; c = d.Nodes[c].Next {
			if m.tick() {
				return halt
			}
			if r := each(f, intVal(i), tapeVal(d, c)); r != more {
				return r
			}
			i++
		}
		return more
	}
	n := m.lower(v)
	n.sort(m, v.kind)
	for i := 0; i < len(n.e); i++ {
		if m.tick() {
			return halt
		}
		k, x := n.e[i], n.e[i]
		switch v.kind {
		case array:
			k = intVal(int64(i))
		case object:
			i++
			x = n.e[i]
		}
		if r := each(f, k, x); r != more {
			return r
		}
	}
	return more
}
