package native

import (
	"thymus/pdp"
)

// shape is what the rules of one name make together.
type shape uint8

const (
	complete  shape = iota // one value
	partial                // a set
	nested                 // an object: the rules' names hold variables
	function               // one value for each list of arguments
	decisions              // the merged set of effects, which is reported instead of built
)

// group is all rules of one name.
type group struct {
	id    int
	name  string
	path  int // length of the name, from data
	shape shape
	arity int
	regs  int
	rules []rule
	deflt step
	index *dispatch // nil: all rules, in order
	// Of decisions: the rules from loose on lie in no module, and rows is what they are. opens are for the index, which
	// is made when it is known what loose rules there are.
	loose int
	rows  []int32
	opens []opening
	// early says that every rule has one and the same constant value, so that the first one found is the answer and
	// OPA looks no further either.
	early bool
	// costly functions are evaluated once for equal arguments.
	costly bool
	// unable says why this group is left to topdown.
	unable error
	calls  []*group // what its bodies may evaluate
}

// rule is one rule with what follows it by `else`.
type rule struct {
	body step
	alts []step
	row  int // that a rule of decisions reports; -1: it is not constant
}

// document is the value of a group that is no function. It is computed once in a scope.
func (m *machine) document(g *group) val {
	docs := m.docs
	if e := &m.memo[g.id]; e.gen == m.gen {
		return e.v
	} else if docs != nil {
		if v, ok := docs[g.id]; ok {
			return v
		}
	}
	switch g.shape {
	case function:
		return val{}
	case decisions: // it is never built: see Set.Merged
		m.fail(&fault{code: pdp.FaultInternal, msg: g.name + " is read by a policy"})
		return val{}
	}
	gen, regs, sp := m.gen, m.regs, m.sp
	f := m.push(g.regs)
	if g.shape != complete {
		k := set
		if g.shape == nested {
			k = object
		}
		f.out = nodeVal(k, m.arena.node())
	}
	m.run(g, f)
	v := f.out
	m.release(regs, sp)
	if m.err != nil {
		return val{}
	}
	if docs != nil {
		docs[g.id] = v
	} else {
		m.memo[g.id] = memoEntry{gen: gen, v: v}
	}
	return v
}

// run evaluates the rules of g that can match.
func (m *machine) run(g *group, f *frame) {
	if m.tick() {
		return
	}
	if g.unable != nil {
		m.fail(&fault{code: pdp.FaultInternal, msg: g.unable.Error(), rerun: true})
		return
	}
	if g.index == nil {
		for i := range g.rules {
			if c := f.try(&g.rules[i]); c == halt || c == enough && g.early {
				return
			}
		}
	} else {
		at := len(m.cand)
		m.cand = g.index.find(f, m.cand)
		end := len(m.cand)
		inOrder(m.cand[at:end])
		for i := at; i < end; i++ {
			if c := f.try(&g.rules[m.cand[i]>>1]); c == halt || c == enough && g.early {
				m.cand = m.cand[:at]
				return
			}
		}
		m.cand = m.cand[:at]
	}
	if g.deflt != nil && f.out.kind == undefined {
		g.deflt(f)
	}
}

// try evaluates one rule, and what follows by `else` where it has no solution.
func (f *frame) try(r *rule) ctl {
	f.found = false
	c := r.body(f)
	if c == halt || f.found {
		return c
	}
	for _, alt := range r.alts {
		if c = alt(f); c == halt || f.found {
			return c
		}
	}
	return more
}

// inOrder puts rule numbers into the order of the source; they nearly are.
func inOrder(a []int32) {
	for i := 1; i < len(a); i++ {
		for j := i; j > 0 && a[j] < a[j-1]; j-- {
			a[j], a[j-1] = a[j-1], a[j]
		}
	}
}

// call evaluates a function; its arguments lie at m.args[at:].
func (m *machine) call(g *group, at int) val {
	var hash uint64
	if g.costly {
		v, h, ok := m.recall(g, m.args[at:])
		if ok {
			m.args = m.args[:at]
			return v
		}
		hash = h
	}
	regs, sp := m.regs, m.sp
	f := m.push(g.regs)
	copy(f.r, m.args[at:])
	if !g.costly {
		m.args = m.args[:at]
	}
	m.run(g, f)
	v := f.out
	m.release(regs, sp)
	if m.err != nil {
		v = val{}
	} else if g.costly && v.kind != undefined {
		m.remember(g, hash, m.args[at:at+g.arity], v)
	}
	m.args = m.args[:at]
	return v
}

// conclude is the last step of a complete rule or function: its value must agree with those before. once says that no
// further solution of this body can give another value or an error.
func conclude(g *group, value getter, once bool) step {
	return func(f *frame) ctl {
		v := value(f)
		if v.kind == undefined {
			return f.m.failed()
		}
		f.found = true
		if f.out.kind == undefined {
			f.out = v
		} else if !f.m.equal(f.out, v) {
			return f.m.conflict(g)
		}
		if once || g.early {
			return enough
		}
		return more
	}
}

func (m *machine) conflict(g *group) ctl {
	msg := "complete rules must not produce multiple outputs"
	switch g.shape {
	case function:
		msg = "functions must not produce multiple outputs for same inputs"
	case nested:
		msg = "object keys must be unique"
	}
	return m.fail(&fault{code: pdp.FaultConflict, msg: g.name + ": " + msg})
}

// include is the last step of a rule of a partial set.
func include(key getter, once bool) step {
	return func(f *frame) ctl {
		v := key(f)
		if v.kind == undefined {
			return f.m.failed()
		}
		f.found = true
		f.out.node().add(f.m, v)
		if once {
			return enough
		}
		return more
	}
}

// place is the last step of a rule whose name holds variables: the value goes where the name, from the group's own
// place on, says. With multi, the value is an element of a set there.
func place(g *group, keys []getter, value getter, multi bool) step {
	return func(f *frame) ctl {
		m := f.m
		at := len(m.args)
		for _, k := range keys {
			v := k(f)
			if v.kind == undefined {
				m.args = m.args[:at]
				return m.failed()
			}
			m.args = append(m.args, v)
		}
		v := value(f)
		if v.kind == undefined {
			m.args = m.args[:at]
			return m.failed()
		}
		f.found = true
		ok := m.insert(g, f.out.node(), m.args[at:], v, multi)
		m.args = m.args[:at]
		if !ok {
			return m.conflict(g)
		}
		return more
	}
}

func (m *machine) insert(g *group, n *node, path []val, v val, multi bool) bool {
	for _, k := range path[:len(path)-1] {
		i := n.find(m, object, k)
		if i < 0 {
			kid := m.arena.node()
			kid.owner = g
			n.put(m, k, nodeVal(object, kid))
			n = kid
			continue
		}
		kid := n.e[i+1]
		if kid.kind != object || kid.mark || !kid.node().open(g) {
			return false
		}
		n = kid.node()
	}
	last := path[len(path)-1]
	i := n.find(m, object, last)
	switch {
	case multi && i < 0:
		kid := m.arena.node()
		kid.owner = g
		n.put(m, last, nodeVal(set, kid))
		kid.add(m, v)
	case multi:
		kid := n.e[i+1]
		if kid.kind != set || !kid.node().open(g) {
			return false
		}
		kid.node().add(m, v)
	case i < 0:
		n.put(m, last, v)
	default:
		return m.equal(n.e[i+1], v)
	}
	return true
}
