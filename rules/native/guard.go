package native

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// An error in a body is topdown's error too only where topdown evaluates the body. Its index leaves rules out in which
// some later test of the input fails: is_admin(input.x); input.action == "read" is not looked at for a write, and so its
// error does not happen. This package meets it first, and asks then: guards are the tests that OPA's index is known to
// apply to a rule, whatever other rules there are, and where one of them does not hold there was no error.

// guard is a necessary condition on a value of the input: it equals v, or is a text that begins with it.
type guard struct {
	load   getter
	v      val
	prefix bool
}

func (g *guard) holds(f *frame) bool {
	x := g.load(f)
	if !g.prefix {
		return x.kind != undefined && f.m.equal(x, g.v)
	}
	if x.kind < array {
		yes, _ := startsWith(f.m, x, g.v)
		return yes
	}
	// The index looks into collections, for strings.any_prefix_match's sake.
	n := f.m.lower(x)
	for i := stride(x.kind) - 1; i < len(n.e); i += stride(x.kind) {
		if yes, _ := startsWith(f.m, n.e[i], g.v); yes {
			return true
		}
	}
	return false
}

// guarded puts a rule's guards around its body, where the body could fail.
func (c *compiler) guarded(r *ast.Rule, body step) step {
	if c.cannotFail(r) {
		return body
	}
	gs := c.guards(r)
	if len(gs) == 0 {
		return body
	}
	return func(f *frame) ctl {
		m := f.m
		args, path, cand := len(m.args), len(m.path), len(m.cand)
		end := body(f)
		if end != halt || m.err == nil || m.err.code == pdp.FaultDeadline {
			return end
		}
		for i := range gs {
			if !gs[i].holds(f) {
				m.err = nil
				m.args, m.path, m.cand = m.args[:args], m.path[:path], m.cand[:cand]
				return more
			}
		}
		return end
	}
}

// indexed is what a body tells OPA's index.
type indexed struct {
	names  map[ast.Var]ast.Ref   // variables that stand for a reference
	consts map[ast.Var]*ast.Term // and for a constant
	tests  map[string]int        // how many values each reference is tested for
	found  []found
}

type found struct {
	ref    ast.Ref
	t      *ast.Term
	prefix bool
}

// guards are none where the index could have a choice: it keeps every test of a rule only where no reference has two.
func (c *compiler) guards(r *ast.Rule) []guard {
	x := &indexed{names: map[ast.Var]ast.Ref{}, consts: map[ast.Var]*ast.Term{}, tests: map[string]int{}}
	for i, a := range r.Head.Args {
		if v, ok := a.Value.(ast.Var); ok {
			x.names[v] = ast.Ref{ast.FunctionArgRootDocument, ast.IntNumberTerm(i)}
		}
	}
	for _, e := range r.Body {
		if !x.read(e) {
			return nil
		}
	}
	var out []guard
	for _, n := range x.tests {
		if n > 1 {
			return nil
		}
	}
	for _, t := range x.found {
		k, ok := c.knownTerm(nil, ast.NewTerm(t.ref))
		if !ok {
			continue
		}
		v, err := c.m.constant(t.t.Value)
		if err != nil {
			return nil
		}
		out = append(out, guard{load: k.load, v: v, prefix: t.prefix})
	}
	return out
}

// read notes one expression; false where it could tell the index more than this package follows.
func (x *indexed) read(e *ast.Expr) bool {
	ts, ok := e.Terms.([]*ast.Term)
	if !ok {
		switch e.Terms.(type) {
		case *ast.Term:
			return true
		case *ast.Not, *ast.Every: // may print, and then the index keeps the rule
			return !prints(e)
		}
		return false
	}
	op := ts[0].String()
	if op == "internal.print" || op == "print" || prints(e) {
		return false
	}
	if len(e.With) > 0 || e.Negated {
		return true
	}
	switch op {
	case "eq", "equal":
		return len(ts) != 3 || x.equality(ts[1], ts[2])
	case "startswith":
		if len(ts) == 3 {
			return x.test(ts[1], ts[2], true)
		}
	case "endswith":
		return len(ts) != 3 || x.tested(ts[1])
	case "glob.match":
		return len(ts) != 4 || x.tested(ts[3])
	case "internal.member_2":
		return len(ts) != 3 || scalars(ts[2]) && x.tested(ts[1]) && x.tested(ts[2])
	case "strings.any_prefix_match", "strings.any_suffix_match": // whose many prefixes make the index forget other tests
		return false
	}
	return true
}

// tested notes a test that is no guard.
func (x *indexed) tested(t *ast.Term) bool {
	if r, ok := x.plain(t); ok {
		x.tests[r.String()]++
	}
	return true
}

// scalars says that t is no collection with collections in it.
func scalars(t *ast.Term) bool {
	ok := true
	each := func(e *ast.Term) { ok = ok && ast.IsScalar(e.Value) }
	switch v := t.Value.(type) {
	case *ast.Array:
		v.Foreach(each)
	case ast.Set:
		v.Foreach(each)
	case ast.Object:
		v.Foreach(func(_, e *ast.Term) { each(e) })
	}
	return ok
}

func prints(e *ast.Expr) bool {
	yes := false
	ast.WalkExprs(e, func(x *ast.Expr) bool {
		if ts, ok := x.Terms.([]*ast.Term); ok && (ts[0].String() == "internal.print" || ts[0].String() == "print") {
			yes = true
		}
		return yes
	})
	return yes
}

// plain is the reference that t is or stands for, of constant strings below its root.
func (x *indexed) plain(t *ast.Term) (ast.Ref, bool) {
	switch v := t.Value.(type) {
	case ast.Var:
		r, ok := x.names[v]
		return r, ok
	case ast.Ref:
		head, _ := v[0].Value.(ast.Var)
		r, ok := x.names[head]
		if !ok {
			r = v[:1]
		}
		return append(r[:len(r):len(r)], v[1:]...), v.IsGround() || ok
	}
	return nil, false
}

func (x *indexed) constant(t *ast.Term) (*ast.Term, bool) {
	if v, ok := t.Value.(ast.Var); ok {
		k, ok := x.consts[v]
		return k, ok
	}
	return t, ast.IsConstant(t.Value)
}

func (x *indexed) equality(a, b *ast.Term) bool {
	for range 2 {
		k, constant := x.constant(b)
		if v, ok := a.Value.(ast.Var); ok && x.names[v] == nil && x.consts[v] == nil {
			if constant {
				x.consts[v] = k
				return true
			}
			if r, ok := x.plain(b); ok {
				x.names[v] = r
				return true
			}
			if _, isRef := b.Value.(ast.Ref); !isRef {
				return true // a name for something computed
			}
		} else if constant {
			return x.test(a, k, false)
		}
		a, b = b, a
	}
	return false
}

// test notes that a reference is tested for one value.
func (x *indexed) test(t, want *ast.Term, prefix bool) bool {
	k, ok := x.constant(want)
	r, known := x.plain(t)
	if !ok || !known || !ast.IsScalar(k.Value) {
		return false
	}
	x.tests[r.String()]++
	x.found = append(x.found, found{r, k, prefix})
	return true
}
