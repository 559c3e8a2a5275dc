package native

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// toAST converts for a builtin that is OPA's. Strings are copied: builtins keep some of them (patterns, cache keys),
// and ours are lent.
func (m *machine) toAST(v val) ast.Value {
	switch v.kind {
	case null:
		return ast.NullValue
	case boolean:
		return ast.Boolean(v.n == 1)
	case number:
		return ast.Number(strings.Clone(numberText(v)))
	case text:
		return ast.String(strings.Clone(v.str()))
	}
	n := m.lower(v)
	if n.opa != nil {
		return n.opa
	}
	switch v.kind {
	case array:
		return ast.NewArray(m.toTerms(n.e)...)
	case set:
		return ast.NewSet(m.toTerms(n.e)...)
	}
	o := ast.NewObjectWithCapacity(len(n.e) / 2)
	for i := 0; i < len(n.e); i += 2 {
		o.Insert(ast.NewTerm(m.toAST(n.e[i])), ast.NewTerm(m.toAST(n.e[i+1])))
	}
	return o
}

func (m *machine) toTerms(vs []val) []*ast.Term {
	ts := make([]*ast.Term, len(vs))
	for i, v := range vs {
		ts[i] = ast.NewTerm(m.toAST(v))
	}
	return ts
}

// fromAST converts what a builtin of OPA's returned, or what the compiler found constant. Scalars share the term's
// memory.
func (m *machine) fromAST(x ast.Value) (val, error) {
	switch x := x.(type) {
	case ast.Null:
		return val{kind: null}, nil
	case ast.Boolean:
		return boolVal(bool(x)), nil
	case ast.Number:
		return numVal(string(x)), nil
	case ast.String:
		return m.internText(string(x)), nil
	case *ast.Array:
		n := m.arena.node()
		for i := range x.Len() {
			v, err := m.fromAST(x.Elem(i).Value)
			if err != nil {
				return val{}, err
			}
			n.e = append(n.e, v)
		}
		return nodeVal(array, n), nil
	case ast.Object:
		n := m.arena.node()
		err := x.Iter(func(k, v *ast.Term) error {
			a, err := m.fromAST(k.Value)
			if err != nil {
				return err
			}
			b, err := m.fromAST(v.Value)
			n.e = append(n.e, a, b)
			return err
		})
		return nodeVal(object, n), err
	case ast.Set:
		n := m.arena.node()
		err := x.Iter(func(e *ast.Term) error {
			v, err := m.fromAST(e.Value)
			n.e = append(n.e, v)
			return err
		})
		return nodeVal(set, n), err
	}
	return val{}, fmt.Errorf("a %s is no value", ast.ValueName(x))
}

// constant converts a value of the program and freezes it.
func (m *machine) constant(x ast.Value) (val, error) {
	v, err := m.fromAST(x)
	if err == nil && v.kind >= array {
		v.node().freeze(m, v.kind)
	}
	return v, err
}

func (m *machine) internText(s string) val {
	v := strVal(m.intern(s))
	v.mark = m.strings != nil && len(s) > 0
	return v
}

// intern makes equal strings of the program share memory, so that most comparisons end with the address. Evaluations do
// not intern.
func (m *machine) intern(s string) string {
	if m.strings == nil {
		return s
	}
	if t, ok := m.strings[s]; ok {
		return t
	}
	s = strings.Clone(s) // not a part of a policy's whole text
	m.strings[s] = s
	return s
}
