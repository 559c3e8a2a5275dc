package native

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// OPA's compiler names every operand: startswith(input.a, p.b) arrives as two assignments and a call. A name that is
// used once, by the next expression that is no such assignment, needs no register: the value is read where it is used.
// Only what cannot fail is put off, and over nothing that can, so that no error appears or disappears.

// countUses is how often each variable occurs in a rule.
func countUses(r *ast.Rule) map[ast.Var]int {
	uses := map[ast.Var]int{}
	vis := ast.NewGenericVisitor(func(x any) bool {
		if v, ok := x.(ast.Var); ok {
			uses[v]++
		}
		return false
	})
	vis.Walk(r.Head)
	vis.Walk(r.Head.Reference) // may hold variables that the walk through the head leaves out
	vis.Walk(r.Body)
	return uses
}

// alias takes e, the expression before rest, as another name for what it reads, where that is all it is.
func (v *vars) alias(e *ast.Expr, rest ast.Body) (bool, error) {
	x, ref, ok := v.plainRead(e)
	if !ok || v.uses[x] != 2 || v.bound[x] || !v.ready(ref) {
		return false, nil
	}
	for _, next := range rest {
		if len(next.With) > 0 || next.Negated {
			return false, nil
		}
		ts, isCall := next.Terms.([]*ast.Term)
		if !isCall {
			return false, nil
		}
		if slices.ContainsFunc(ts[1:], func(t *ast.Term) bool { y, isVar := t.Value.(ast.Var); return isVar && y == x }) {
			get, err := v.term(ref)
			if err != nil {
				return false, err
			}
			v.read[x], v.bound[x] = get, true
			return true, nil
		}
		if _, _, ok := v.plainRead(next); !ok {
			return false, nil
		}
	}
	return false, nil
}

// plainRead says whether e names a value of the input or of a variable, and nothing else.
func (v *vars) plainRead(e *ast.Expr) (x ast.Var, ref *ast.Term, ok bool) {
	if len(e.With) > 0 || e.Negated || !e.IsEquality() {
		return "", nil, false
	}
	ref = e.Operand(1)
	x, ok = e.Operand(0).Value.(ast.Var)
	if !ok {
		ref = e.Operand(0)
		x, ok = e.Operand(1).Value.(ast.Var)
	}
	r, isRef := ref.Value.(ast.Ref)
	if !ok || !isRef || !x.IsGenerated() || r[0].Equal(ast.DefaultRootDocument) {
		return "", nil, false
	}
	for _, t := range r[1:] {
		if !ast.IsConstant(t.Value) {
			return "", nil, false
		}
	}
	return x, ref, true
}
