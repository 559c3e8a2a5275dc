package native

import (
	"context"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
	"github.com/open-policy-agent/opa/v1/util"

	"thymus/pdp"
)

// tnode is a place below data that rules define: OPA's rule tree with our groups.
type tnode struct {
	key   val
	kids  []*tnode // in Rego's order of keys
	byStr map[string]*tnode
	group *group // nil: inner node
	hide  bool
}

func (t *tnode) child(m *machine, k val) *tnode {
	if t == nil {
		return nil
	}
	if k.kind == text {
		return t.byStr[k.str()]
	}
	for _, c := range t.kids {
		if m.equal(c.key, k) {
			return c
		}
	}
	return nil
}

// program is everything an evaluation reads and nothing writes.
type program struct {
	root   *tnode
	data   val // base documents, frozen
	groups int
	paths  int
	rows   int
	all    []*group
	sets   []effects
	static []pdp.Match // by row
	// policies are the numbers that policies have in matches; nil: their own.
	policies []int32
	// constants holds, for a policy and effect, an object of the elements that are rows, with their numbers.
	constants map[effectKey]*node

	hidden       string
	context      func(*pdp.Budget) (context.Context, func())
	runtime      *ast.Term
	capabilities *ast.Capabilities
	values       cache.InterQueryValueCache
	queries      cache.InterQueryCache
	zones        *zones // nil: no rule asks for a time
}

func (p *program) policy(n int32) int32 {
	if p.policies == nil {
		return n
	}
	return p.policies[n]
}

// storeGet is one step into a base document that is read through OPA's store: by the text of the key, which makes
// data.a["2"] and data.a[2] one.
func (m *machine) storeGet(v, k val) val {
	var s string
	switch k.kind {
	case text:
		s = k.str()
	case number:
		s = numberText(k)
	default:
		return val{}
	}
	switch v.kind {
	case object:
		return m.get(v, strVal(s))
	case array:
		if i, ok := util.Atoi(s); ok {
			return m.get(v, intVal(int64(i)))
		}
	}
	return val{}
}

// resolve is the base document at a path, as far as `with` has not replaced it.
func (m *machine) resolve(path []val) val {
	rep := val{}
	if m.overlay.kind != undefined {
		rep = m.overlay
		for _, k := range path {
			if rep = m.get(rep, k); rep.kind == undefined {
				break
			}
		}
	}
	if m.targets.prefixed(m, path) {
		return rep
	}
	real := m.prog.data
	for _, k := range path {
		if real = m.storeGet(real, k); real.kind == undefined {
			return rep
		}
	}
	if rep.kind == undefined {
		return real
	}
	return m.merge(rep, real)
}

// merge joins two documents; where both have a value that is no object, a's counts.
func (m *machine) merge(a, b val) val {
	if a.kind != object || b.kind != object {
		return a
	}
	x, y, out := m.lower(a), m.lower(b), m.arena.node()
	for i := 0; i < len(x.e); i += 2 {
		v := x.e[i+1]
		if j := y.find(m, object, x.e[i]); j >= 0 {
			v = m.merge(v, y.e[j+1])
		}
		out.put(m, x.e[i], v)
	}
	for i := 0; i < len(y.e); i += 2 {
		if x.find(m, object, y.e[i]) < 0 {
			out.put(m, y.e[i], y.e[i+1])
		}
	}
	return nodeVal(object, out)
}

// extent is the whole document at a path: base documents and what rules define below it.
func (m *machine) extent(t *tnode, path []val) val {
	base := m.resolve(path)
	if m.err != nil || t == nil {
		return base
	}
	start := len(m.path)
	m.path = append(m.path, path...)
	virtual := m.leaves(t, start)
	m.path = m.path[:start]
	if m.err != nil {
		return val{}
	}
	if base.kind == undefined {
		return virtual
	}
	return m.merge(base, virtual)
}

// leaves is the object of everything that rules define below t, whose path is m.path[start:].
func (m *machine) leaves(t *tnode, start int) val {
	out := m.arena.node()
	for _, c := range t.kids {
		if c.hide {
			continue
		}
		m.path = append(m.path, c.key)
		var v val
		if c.group != nil {
			if m.targets.prefixed(m, m.path[start:]) {
				v = m.resolve(m.path[start:])
			} else {
				v = m.document(c.group)
			}
		} else {
			v = m.leaves(c, start)
		}
		m.path = m.path[:len(m.path)-1]
		if m.err != nil {
			return val{}
		}
		if v.kind != undefined {
			out.put(m, c.key, v)
		}
	}
	return nodeVal(object, out)
}

func (c *compiler) tree(n *ast.TreeNode) (*tnode, error) {
	t := &tnode{hide: n.Hide, byStr: map[string]*tnode{}}
	if n.Key != nil {
		k, err := c.m.constant(keyValue(n.Key))
		if err != nil {
			return nil, err
		}
		t.key = k
	}
	if n.External != nil {
		return nil, errExternal
	}
	rules := n.Values
	if len(rules) > 0 {
		for _, r := range n.Values {
			if r.Head.Ref().IsGround() {
				continue
			}
			// OPA indexes a rule with variables in its name together with all rules below it.
			rules = nil
			n.DepthFirst(func(x *ast.TreeNode) bool {
				rules = append(rules, x.Values...)
				return false
			})
			break
		}
		t.group = c.group(rules)
		if len(rules) != len(n.Values) {
			return t, nil
		}
	}
	for _, k := range n.Sorted {
		kid, err := c.tree(n.Children[k])
		if err != nil {
			return nil, err
		}
		t.kids = append(t.kids, kid)
		if kid.key.kind == text {
			t.byStr[kid.key.str()] = kid
		}
	}
	return t, nil
}

// keyValue is a key of the rule tree: the root's and packages' may be variables by the letter.
func keyValue(v ast.Value) ast.Value {
	if x, ok := v.(ast.Var); ok {
		return ast.String(x)
	}
	return v
}
