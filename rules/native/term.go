package native

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// term compiles a term all of whose variables are bound.
func (v *vars) term(t *ast.Term) (getter, error) {
	if t == nil {
		return nil, unable(nil, "missing term")
	}
	if ast.IsConstant(t.Value) {
		c, err := v.c.m.constant(t.Value)
		if err != nil {
			return nil, unable(t.Location, "%v", err)
		}
		return func(*frame) val { return c }, nil
	}
	switch x := t.Value.(type) {
	case ast.Var:
		if !v.bound[x] {
			return nil, unable(t.Location, "variable %v is not bound", x)
		}
		if get := v.read[x]; get != nil {
			return get, nil
		}
		slot := v.slot[x]
		return func(f *frame) val { return f.r[slot] }, nil
	case ast.Ref:
		return v.ref(t, x)
	case *ast.Array:
		parts := make([]getter, x.Len())
		for i := range parts {
			g, err := v.term(x.Elem(i))
			if err != nil {
				return nil, err
			}
			parts[i] = g
		}
		return collect(array, parts), nil
	case ast.Set:
		parts, err := v.terms(x.Slice())
		if err != nil {
			return nil, err
		}
		return collect(set, parts), nil
	case ast.Object:
		var ts []*ast.Term
		x.Foreach(func(k, e *ast.Term) { ts = append(ts, k, e) })
		parts, err := v.terms(ts)
		if err != nil {
			return nil, err
		}
		return collect(object, parts), nil
	case *ast.ArrayComprehension:
		return v.comprehension(x.Body, array, nil, x.Term)
	case *ast.SetComprehension:
		return v.comprehension(x.Body, set, nil, x.Term)
	case *ast.ObjectComprehension:
		return v.comprehension(x.Body, object, x.Key, x.Value)
	}
	return nil, unable(t.Location, "term %v", t)
}

func (v *vars) terms(ts []*ast.Term) ([]getter, error) {
	out := make([]getter, len(ts))
	for i, t := range ts {
		g, err := v.term(t)
		if err != nil {
			return nil, err
		}
		out[i] = g
	}
	return out, nil
}

// collect builds a collection of computed parts.
func collect(k kind, parts []getter) getter {
	return func(f *frame) val {
		m := f.m
		n := m.arena.node()
		for i := 0; i < len(parts); i++ {
			x := parts[i](f)
			if x.kind == undefined {
				return val{}
			}
			switch k {
			case array:
				n.e = append(n.e, x)
			case set:
				n.add(m, x)
			case object:
				i++
				y := parts[i](f)
				if y.kind == undefined {
					return val{}
				}
				n.put(m, x, y)
			}
		}
		return nodeVal(k, n)
	}
}

// comprehension builds a collection of all solutions of a body.
func (v *vars) comprehension(b ast.Body, k kind, key, value *ast.Term) (getter, error) {
	in := v.inner()
	build, err := in.body(b)
	if err != nil {
		return nil, err
	}
	var getKey getter
	if key != nil {
		if getKey, err = in.term(key); err != nil {
			return nil, err
		}
	}
	get, err := in.term(value)
	if err != nil {
		return nil, err
	}
	slot := v.temp()
	run := build(func(f *frame) ctl {
		m, n := f.m, f.r[slot].node()
		x := get(f)
		if x.kind == undefined {
			return m.failed()
		}
		switch k {
		case array:
			n.e = append(n.e, x)
		case set:
			n.add(m, x)
		case object:
			kv := getKey(f)
			if kv.kind == undefined {
				return m.failed()
			}
			if i := n.find(m, object, kv); i >= 0 {
				if !m.equal(n.e[i+1], x) {
					return m.conflict(&group{shape: nested, name: "comprehension"})
				}
			}
			n.put(m, kv, x)
		}
		return more
	})
	return func(f *frame) val {
		f.r[slot] = nodeVal(k, f.m.arena.node())
		if run(f) == halt {
			return val{}
		}
		return f.r[slot]
	}, nil
}
