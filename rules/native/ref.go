package native

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// operand is one step of a reference below its root.
type operand struct {
	constant bool
	k        val
	key      getter  // nil: unbound, enumerated
	match    matcher // of an enumerated key; nil: nobody asks for it
	join     *join   // what the next expression asks of the elements
}

// operands compiles the steps from left to right: each may bind what a later one uses.
func (v *vars) operands(ts []*ast.Term) ([]operand, error) {
	ops := make([]operand, len(ts))
	hint := v.hint
	v.hint = nil
	for i, t := range ts {
		o := &ops[i]
		var err error
		switch {
		case ast.IsConstant(t.Value):
			o.constant = true
			if o.k, err = v.c.m.constant(t.Value); err == nil {
				k := o.k
				o.key = func(*frame) val { return k }
			}
		case v.ready(t):
			o.key, err = v.term(t)
		default:
			x, plain := t.Value.(ast.Var)
			if o.match, err = v.pattern(t); plain && v.uses[x] == 1 {
				o.match = nil
			}
			if i == len(ts)-1 {
				o.join = hint
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return ops, nil
}

// chain follows steps from a value. stored says that they go into base documents, which OPA reads by text.
func chain(ops []operand, s sink, stored bool) sink {
	for i := len(ops) - 1; i >= 0; i-- {
		s = link(&ops[i], s, stored)
	}
	return s
}

func link(o *operand, rest sink, stored bool) sink {
	if o.key == nil {
		match, j := o.match, o.join
		each := func(f *frame, k, x val) ctl {
			if !match(f, k) {
				return f.m.failed()
			}
			return rest(f, x)
		}
		if match == nil {
			each = func(f *frame, _, x val) ctl { return rest(f, x) }
		}
		if j == nil {
			return func(f *frame, v val) ctl { return f.m.enumerate(f, v, each) }
		}
		return func(f *frame, v val) ctl {
			if v.kind >= array && !v.mark {
				if n := v.node(); n.frozen && len(n.e) > fewKeys {
					return j.through(f, v.kind, n, match)
				}
			}
			return f.m.enumerate(f, v, each)
		}
	}
	key := o.key
	return func(f *frame, v val) ctl {
		k := key(f)
		if k.kind == undefined {
			return f.m.failed()
		}
		if stored {
			v = f.m.storeGet(v, k)
		} else {
			v = f.m.get(v, k)
		}
		if v.kind == undefined {
			return more
		}
		return rest(f, v)
	}
}

// source compiles a reference with unbound variables.
func (v *vars) source(t *ast.Term) (source, error) {
	ref, ok := t.Value.(ast.Ref)
	if !ok {
		return nil, unable(t.Location, "%v is not bound", t)
	}
	if ref[0].Equal(ast.DefaultRootDocument) {
		return v.dataSource(ref)
	}
	base, err := v.root(ref)
	if err != nil {
		return nil, err
	}
	n := 1 // constant steps from the input are remembered
	for n < len(ref) && ref[0].Equal(ast.InputRootDocument) && isString(ref[n]) {
		n++
	}
	if n > 1 {
		base = v.c.inputPath(ref[1:n])
	}
	ops, err := v.operands(ref[n:])
	if err != nil {
		return nil, err
	}
	return from(base, ops, false), nil
}

func from(base getter, ops []operand, stored bool) source {
	return func(s sink) step {
		walk := chain(ops, s, stored)
		return func(f *frame) ctl {
			x := base(f)
			if x.kind == undefined {
				return f.m.failed()
			}
			return walk(f, x)
		}
	}
}

// root is the value a reference starts from.
func (v *vars) root(ref ast.Ref) (getter, error) {
	x, ok := ref[0].Value.(ast.Var)
	switch {
	case ok && ref[0].Equal(ast.InputRootDocument):
		return func(f *frame) val { return f.m.input }, nil
	case ok && v.bound[x]:
		slot := v.slot[x]
		return func(f *frame) val { return f.r[slot] }, nil
	case !ok: // a literal: OPA's compiler names those that can have members
		return func(*frame) val { return val{} }, nil
	}
	return nil, unable(ref[0].Location, "reference %v starts from an unbound variable", ref)
}

func isString(t *ast.Term) bool {
	_, ok := t.Value.(ast.String)
	return ok
}

// ref compiles a reference that is bound.
func (v *vars) ref(t *ast.Term, ref ast.Ref) (getter, error) {
	if ref[0].Equal(ast.DefaultRootDocument) {
		if g, ok, err := v.dataGetter(ref); ok || err != nil {
			return g, err
		}
		return v.one(t)
	}
	base, err := v.root(ref)
	if err != nil {
		return nil, err
	}
	n := 1
	for n < len(ref) && ref[0].Equal(ast.InputRootDocument) && isString(ref[n]) {
		n++
	}
	if n > 1 {
		base = v.c.inputPath(ref[1:n])
	}
	ops, err := v.operands(ref[n:])
	if err != nil {
		return nil, err
	}
	if x, ok := ref[0].Value.(ast.Var); ok && v.bound[x] && len(ops) == 1 && ops[0].constant {
		slot, k := v.slot[x], ops[0].k
		if k.kind == text {
			return func(f *frame) val { return f.m.field(f.r[slot], &k) }, nil
		}
		return func(f *frame) val { return f.m.get(f.r[slot], k) }, nil
	}
	return follow(base, ops, false), nil
}

// follow reads bound steps one after the other.
func follow(base getter, ops []operand, stored bool) getter {
	for i := range ops {
		before, key, constant, k := base, ops[i].key, ops[i].constant, ops[i].k
		switch {
		case stored:
			base = func(f *frame) val {
				x := before(f)
				if x.kind == undefined {
					return x
				}
				return f.m.storeGet(x, key(f))
			}
		case constant:
			base = func(f *frame) val {
				x := before(f)
				if x.kind == undefined {
					return x
				}
				return f.m.get(x, k)
			}
		default:
			base = func(f *frame) val {
				x := before(f)
				if x.kind == undefined {
					return x
				}
				return f.m.get(x, key(f))
			}
		}
	}
	return base
}

// one makes a getter of a source that has one value at most.
func (v *vars) one(t *ast.Term) (getter, error) {
	src, err := v.source(t)
	if err != nil {
		return nil, err
	}
	slot := v.temp()
	run := src(func(f *frame, x val) ctl {
		f.r[slot] = x
		return enough
	})
	return func(f *frame) val {
		f.r[slot] = val{}
		if run(f) == halt {
			return val{}
		}
		return f.r[slot]
	}, nil
}

// inputPath reads names below the input, each distinct path once a scope.
func (c *compiler) inputPath(ts []*ast.Term) getter {
	names := make([]val, len(ts))
	var id strings.Builder
	for i, t := range ts {
		s := string(t.Value.(ast.String))
		names[i] = c.m.internText(s)
		id.WriteString(s)
		id.WriteByte(0xff)
	}
	n, ok := c.paths[id.String()]
	if !ok {
		n = c.prog.paths
		c.paths[id.String()] = n
		c.prog.paths++
	}
	return func(f *frame) val {
		m := f.m
		if e := &m.paths[n]; e.gen == m.gen {
			return e.v
		}
		return m.readInput(n, names)
	}
}

func (m *machine) readInput(n int, names []val) val {
	v := m.input
	for _, k := range names {
		if v.mark && v.kind == object && v.size() <= 2*fewKeys {
			v = tapeMember(v.doc(), v.n, k.str())
		} else {
			v = m.get(v, k)
		}
		if v.kind == undefined {
			break
		}
	}
	m.paths[n] = memoEntry{gen: m.gen, v: v}
	return v
}
