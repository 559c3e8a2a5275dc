package native

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// place of a reference into data: how far it can be followed when it is compiled.
type dataRef struct {
	node *tnode  // where the constant steps lead; nil: no rules there
	grp  *group  // rules at prefix
	path []val   // the constant steps taken
	rest ast.Ref // the steps behind them
}

func (v *vars) locate(ref ast.Ref) (dataRef, error) {
	d := dataRef{node: v.c.prog.root, rest: ref[1:]}
	for len(d.rest) > 0 && ast.IsConstant(d.rest[0].Value) {
		k, err := v.c.m.constant(d.rest[0].Value)
		if err != nil {
			return d, err
		}
		d.path, d.rest = append(d.path, k), d.rest[1:]
		if d.node = d.node.child(v.c.m, k); d.node != nil && d.node.group != nil {
			d.grp = d.node.group
			v.g.calls = append(v.g.calls, d.grp)
			break
		}
	}
	return d, nil
}

// replaced says whether some `with` names a path at, above or below this one.
func (c *compiler) replaced(path []val) bool {
	for _, t := range c.targets {
		n := min(len(t), len(path))
		same := true
		for i := range n {
			same = same && c.m.equal(t[i], path[i])
		}
		if same {
			return true
		}
	}
	return false
}

// dataGetter compiles a reference into data that needs no walk over the tree: to rules, or to base documents that no
// `with` replaces.
func (v *vars) dataGetter(ref ast.Ref) (getter, bool, error) {
	base, ops, stored, ok, err := v.dataBase(ref)
	if err != nil || !ok {
		return nil, false, err
	}
	return follow(base, ops, stored), true, nil
}

func (v *vars) dataSource(ref ast.Ref) (source, error) {
	base, ops, stored, ok, err := v.dataBase(ref)
	if err != nil {
		return nil, err
	}
	if ok {
		return from(base, ops, stored), nil
	}
	return v.walk(ref)
}

// dataBase is where a reference starts when its constant steps have been followed.
func (v *vars) dataBase(ref ast.Ref) (getter, []operand, bool, bool, error) {
	d, err := v.locate(ref)
	if err != nil {
		return nil, nil, false, false, err
	}
	if v.c.replaced(d.path) || d.grp == nil && d.node != nil {
		return nil, nil, false, false, nil
	}
	ops, err := v.operands(d.rest)
	if err != nil {
		return nil, nil, false, false, err
	}
	if g := d.grp; g != nil {
		return func(f *frame) val {
			if e := &f.m.memo[g.id]; e.gen == f.m.gen {
				return e.v
			}
			return f.m.document(g)
		}, ops, false, true, nil
	}
	x := v.c.prog.data
	for _, k := range d.path {
		if x = v.c.m.storeGet(x, k); x.kind == undefined {
			break
		}
	}
	return func(*frame) val { return x }, ops, true, true, nil
}

// walker follows a reference through packages when it is evaluated, because it enumerates them, ends in one, or may be
// replaced by `with`.
type walker struct {
	ops   []operand
	after []sink // behind a rule's value: the steps that are left
	end   sink
}

func (v *vars) walk(ref ast.Ref) (source, error) {
	v.calls(v.c.prog.root, ref[1:])
	ops, err := v.operands(ref[1:])
	if err != nil {
		return nil, err
	}
	root := v.c.prog.root
	return func(s sink) step {
		w := &walker{ops: ops, after: make([]sink, len(ops)+1), end: s}
		for i := range w.after {
			w.after[i] = chain(ops[i:], s, false)
		}
		return func(f *frame) ctl {
			start := len(f.m.path)
			c := w.at(f, root, 0, start)
			f.m.path = f.m.path[:start]
			return c
		}
	}, nil
}

// calls notes every group that a walk may meet.
func (v *vars) calls(t *tnode, rest ast.Ref) {
	if t == nil {
		return
	}
	if t.group != nil {
		v.g.calls = append(v.g.calls, t.group)
		return
	}
	if len(rest) > 0 && ast.IsConstant(rest[0].Value) {
		if k, err := v.c.m.constant(rest[0].Value); err == nil {
			v.calls(t.child(v.c.m, k), rest[1:])
		}
		return
	}
	for _, kid := range t.kids {
		v.calls(kid, rest[min(1, len(rest)):])
	}
}

// at stands at a place of the tree with the first j steps taken; m.path[start:] is where.
func (w *walker) at(f *frame, t *tnode, j, start int) ctl {
	m := f.m
	if j == len(w.ops) {
		v := m.extent(t, m.path[start:])
		if v.kind == undefined {
			return m.failed()
		}
		return w.end(f, v)
	}
	o := &w.ops[j]
	if o.key != nil {
		k := o.key(f)
		if k.kind == undefined {
			return m.failed()
		}
		return w.next(f, t, j, start, k)
	}
	base := m.resolve(m.path[start:])
	c := m.enumerate(f, base, func(f *frame, k, _ val) ctl {
		if o.match != nil && !o.match(f, k) {
			return f.m.failed()
		}
		return w.next(f, t, j, start, k)
	})
	if c != more || t == nil {
		return c
	}
	for _, kid := range t.kids {
		if base.kind >= array && m.get(base, kid.key).kind != undefined || o.match != nil && !o.match(f, kid.key) {
			continue
		}
		if c := w.next(f, t, j, start, kid.key); c != more {
			return c
		}
	}
	return more
}

func (w *walker) next(f *frame, t *tnode, j, start int, k val) ctl {
	m := f.m
	here := len(m.path)
	m.path = append(m.path, k)
	var kid *tnode
	if !m.targets.prefixed(m, m.path[start:]) {
		if kid = t.child(m, k); kid != nil && kid.group != nil {
			m.path = m.path[:here]
			v := m.document(kid.group)
			if v.kind == undefined {
				return m.failed()
			}
			return w.after[j+1](f, v)
		}
	}
	c := w.at(f, kid, j+1, start)
	m.path = m.path[:here]
	return c
}
