package native

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"thymus/pdp"
)

// caller computes a call whose arguments lie at m.args[at:], and takes them off that stack. Undefined is no result.
type caller func(m *machine, at int) val

// call compiles a call as an expression: its result must not be false, or is matched where it is captured.
func (v *vars) call(e *ast.Expr, ts []*ast.Term) (builder, error) {
	ref, ok := ts[0].Value.(ast.Ref)
	if !ok {
		return nil, unable(e.Location, "call of %v", ts[0])
	}
	name := ref.String()
	call, arity, err := v.c.callee(v.g, ref)
	if err != nil {
		return nil, unable(e.Location, "%v", err)
	}
	if call == nil {
		return func(step) step { return func(*frame) ctl { return more } }, nil
	}
	if len(ts)-1 < arity {
		return nil, unable(e.Location, "call of %s with %d arguments", name, len(ts)-1)
	}
	decl := ast.BuiltinMap[name]
	void := decl != nil && decl.Decl.Result() == nil
	if void {
		arity = len(ts) - 1
	}
	args, err := v.terms(ts[1 : 1+arity])
	if err != nil {
		return nil, err
	}
	if name == "walk" && len(ts) == 3 && !v.c.mocked[name] {
		return v.walkAll(ts[1], ts[2])
	}
	if fast := special(name, ts[1:1+arity]); fast != nil {
		call = quick(fast, call)
	}
	if v.c.mocked[name] {
		call = mockable(name, call)
	}
	var match matcher
	var slot = -1
	if out := ts[1+arity:]; len(out) > 1 {
		return nil, unable(e.Location, "call of %s with %d arguments", name, len(ts)-1)
	} else if len(out) == 1 {
		if x, isVar := out[0].Value.(ast.Var); isVar && !v.bound[x] {
			slot = v.bind(x)
		} else if match, err = v.pattern(out[0]); err != nil {
			return nil, err
		}
	}
	if test := tests2[name]; test != nil && len(args) == 2 && slot < 0 && match == nil && !v.c.mocked[name] {
		return testTwo(test, args[0], args[1], call), nil
	}
	if decl != nil && decl.Relation {
		if slot >= 0 {
			s := slot
			match = func(f *frame, x val) bool { f.r[s] = x; return true }
		}
		return relate(args, call, match), nil
	}
	return func(next step) step {
		return func(f *frame) ctl {
			m := f.m
			at := len(m.args)
			if !m.stack(f, args, at) {
				return m.failed()
			}
			x := call(m, at)
			switch {
			case x.kind == undefined:
				return m.failed()
			case void:
			case slot >= 0:
				f.r[slot] = x
			case match != nil:
				if !match(f, x) {
					return m.failed()
				}
			case x.isFalse():
				return more
			}
			return next(f)
		}
	}, nil
}

// testTwo is a call of a builtin that says yes or no about two values; what test does not know, call does.
func testTwo(test func(m *machine, a, b val) (yes, known bool), a, b getter, call caller) builder {
	return func(next step) step {
		return func(f *frame) ctl {
			m := f.m
			x := a(f)
			if x.kind == undefined {
				return m.failed()
			}
			y := b(f)
			if y.kind == undefined {
				return m.failed()
			}
			yes, known := test(m, x, y)
			if !known {
				at := len(m.args)
				m.args = append(m.args, x, y)
				z := call(m, at)
				if z.kind == undefined {
					return m.failed()
				}
				yes = !z.isFalse()
			}
			if !yes {
				return more
			}
			return next(f)
		}
	}
}

// relate goes through all results of a call that has many.
func relate(args []getter, call caller, match matcher) builder {
	return func(next step) step {
		each := func(f *frame, _, x val) ctl {
			if match == nil && x.isFalse() || match != nil && !match(f, x) {
				return f.m.failed()
			}
			return next(f)
		}
		return func(f *frame) ctl {
			m := f.m
			at := len(m.args)
			if !m.stack(f, args, at) {
				return m.failed()
			}
			all := call(m, at) // an array of the results
			if all.kind == undefined {
				return m.failed()
			}
			return m.enumerate(f, all, each)
		}
	}
}

// stack puts arguments where callers look for them, at m.args[at:]; false where one is undefined.
func (m *machine) stack(f *frame, args []getter, at int) bool {
	for _, a := range args {
		x := a(f)
		if x.kind == undefined {
			m.args = m.args[:at]
			return false
		}
		m.args = append(m.args, x)
	}
	return true
}

// mockable asks first whether a `with` replaces the function.
func mockable(name string, call caller) caller {
	return func(m *machine, at int) val {
		x := m.mocks.find(name)
		if x == nil {
			return call(m, at)
		}
		if x.with == nil {
			m.args = m.args[:at]
			return x.value
		}
		saved := m.mocks
		m.mocks = &mockFrame{barrier: true, outer: saved}
		v := x.with(m, at)
		m.mocks = saved
		return v
	}
}

// callee finds a function by name; nil without an error where rules define none.
func (c *compiler) callee(from *group, ref ast.Ref) (caller, int, error) {
	if ref[0].Equal(ast.DefaultRootDocument) {
		t := c.prog.root
		for _, k := range ref[1:] {
			kv, err := c.m.constant(k.Value)
			if err != nil {
				return nil, 0, err
			}
			t = t.child(c.m, kv)
		}
		if t == nil || t.group == nil || t.group.shape != function {
			return nil, -1, nil
		}
		g := t.group
		from.calls = append(from.calls, g)
		return func(m *machine, at int) val { return m.call(g, at) }, g.arity, nil
	}
	name := ref.String()
	b, f := ast.BuiltinMap[name], topdown.GetBuiltin(name)
	if b == nil || f == nil {
		if len(ref) > 1 || !ref[0].Equal(ast.VarTerm(name)) || b == nil {
			return nil, -1, nil
		}
		return nil, 0, unable(nil, "unknown function %s", name)
	}
	slow := bridged(b, f)
	if fast := ownBuiltin(name); fast != nil {
		if name == "graph.reachable" {
			return remembered(quick(fast, slow), b.Decl.Arity()), b.Decl.Arity(), nil
		}
		if c.prog.zones == nil && strings.HasPrefix(name, "time.") {
			c.prog.zones = &zones{}
		}
		return quick(fast, slow), b.Decl.Arity(), nil
	}
	return slow, b.Decl.Arity(), nil
}

// quick asks our own implementation first.
func quick(fast native, slow caller) caller {
	return func(m *machine, at int) val {
		x, ok := fast(m, m.args[at:])
		if !ok {
			return slow(m, at)
		}
		m.args = m.args[:at]
		return x
	}
}

func builtinFault(err error) *fault {
	return &fault{code: pdp.FaultBuiltin, msg: err.Error(), cause: err}
}
