package native

import "github.com/open-policy-agent/opa/v1/ast"

// graphBuiltins are those over graphs and trees.
var graphBuiltins = map[string]native{
	"graph.reachable": reachable,
	"union":           unionOf,
	"intersection":    intersectionOf,
}

// reachable is the nodes that a graph, an object from node to an array or a set of nodes, leads to from those of a
// collection, these included; what is no node of the graph is left out. The set that grows is the queue as well: a node
// is put behind it when it is seen first, as OPA's own walk, in breadth, comes to it first.
func reachable(m *machine, a []val) (val, bool) {
	graph := a[0]
	if graph.kind != object || a[1].kind != array && a[1].kind != set {
		return val{}, false
	}
	n := m.arena.node()
	m.reach(n, graph, a[1])
	for i := 0; i < len(n.e); i++ {
		if m.tick() {
			return val{}, true
		}
		if next := m.get(graph, n.e[i]); next.kind == array || next.kind == set {
			m.reach(n, graph, next)
		}
	}
	return nodeVal(set, n), true
}

// reach adds those of the nodes that the graph has.
func (m *machine) reach(n *node, graph, nodes val) {
	from := m.lower(nodes)
	from.sort(m, nodes.kind)
	for _, e := range from.e {
		if n.find(m, set, e) < 0 && m.get(graph, e).kind != undefined {
			n.e = append(n.e, e)
			n.added(m, set, len(n.e)-1)
		}
	}
}

// unionOf and intersectionOf are of all sets of a set.
func unionOf(m *machine, a []val) (val, bool) {
	n := m.arena.node()
	return nodeVal(set, n), m.eachSet(a[0], func(_ int, s *node) {
		for _, e := range s.e {
			n.add(m, e)
		}
	})
}

func intersectionOf(m *machine, a []val) (val, bool) {
	all := nodeVal(set, m.arena.node())
	return all, m.eachSet(a[0], func(i int, s *node) {
		if i == 0 {
			all.node().e = append(all.node().e, s.e...)
			return
		}
		all, _ = intersection(m, []val{all, nodeVal(set, s)})
	})
}

// eachSet says no where v is anything else than a set of sets.
func (m *machine) eachSet(v val, f func(i int, s *node)) bool {
	if v.kind != set {
		return false
	}
	n := v.node()
	for i := range n.e {
		if n.e[i].kind != set {
			return false
		}
	}
	n.sort(m, set)
	for i := range n.e {
		s := n.e[i].node()
		s.sort(m, set)
		f(i, s)
	}
	return true
}

// walkAll compiles walk(x, [path, value]): x and what is in it, one after the other, and nothing is built but the paths,
// where somebody asks for them; in any other form, pairs of both.
func (v *vars) walkAll(arg, out *ast.Term) (builder, error) {
	from, err := v.term(arg)
	if err != nil {
		return nil, err
	}
	pair, ok := out.Value.(*ast.Array)
	if !ok || pair.Len() != 2 {
		match, err := v.pattern(out)
		if err != nil {
			return nil, err
		}
		return walkFrom(from, true, func(f *frame, p, x val) bool {
			n := f.m.arena.node()
			n.e = append(n.e, p, x)
			return match(f, nodeVal(array, n))
		}), nil
	}
	var path matcher
	if x, isVar := pair.Elem(0).Value.(ast.Var); !isVar || !x.IsWildcard() || v.bound[x] {
		if path, err = v.pattern(pair.Elem(0)); err != nil {
			return nil, err
		}
	}
	value, err := v.pattern(pair.Elem(1))
	if err != nil {
		return nil, err
	}
	return walkFrom(from, path != nil, func(f *frame, p, x val) bool { return (path == nil || path(f, p)) && value(f, x) }), nil
}

func walkFrom(from getter, paths bool, match func(f *frame, path, x val) bool) builder {
	return func(next step) step {
		each := func(f *frame, p, x val) ctl {
			if !match(f, p, x) {
				return f.m.failed()
			}
			return next(f)
		}
		return func(f *frame) ctl {
			x := from(f)
			if x.kind == undefined {
				return f.m.failed()
			}
			at := len(f.m.args)
			c := f.m.walk(f, x, paths, at, each)
			f.m.args = f.m.args[:at]
			return c
		}
	}
}

// walk visits x and what is in it, each before what is in it. m.args[at:] is the way to x.
func (m *machine) walk(f *frame, x val, paths bool, at int, each func(f *frame, path, x val) ctl) ctl {
	if m.tick() {
		return halt
	}
	var path val
	if paths {
		n := m.arena.node()
		n.e = append(n.e, m.args[at:]...)
		path = nodeVal(array, n)
	}
	if c := each(f, path, x); c != more || x.kind < array {
		return c
	}
	n := m.lower(x)
	n.sort(m, x.kind)
	way := len(m.args)
	for i := 0; i < len(n.e); i++ {
		k := n.e[i]
		switch x.kind {
		case array:
			k = intVal(int64(i))
		case object:
			i++
		}
		m.args = append(m.args, k)
		c := m.walk(f, n.e[i], paths, at, each)
		m.args = m.args[:way]
		if c != more {
			return c
		}
	}
	return more
}
