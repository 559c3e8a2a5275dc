package rules

import (
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// expr is one expression that a structured policy becomes. It is written down in two ways: as Rego, for people and for
// topdown (see text), and as the terms that OPA's compiler would leave of that Rego, for the native engine (see
// lowering).
type expr struct {
	not  bool
	op   string // ==, !=, >, <, >=, <=, in, some, or the name of a builtin; empty: a rule of the module
	args []arg
	any  [][]expr // instead of all that, for lowering alone: one of these bodies holds
}

// arg is what an expression is about: exactly one of these.
type arg struct {
	input bool     // the input at path
	path  []string // may be empty with input
	value *node    // a literal
	set   []*node  // a literal set, not nil
	list  []arg    // an array of arguments
	call  *expr    // what a builtin makes
	name  string   // a rule of the module, or a variable
}

func is(op string, args ...arg) expr    { return expr{op: op, args: args} }
func isNot(op string, args ...arg) expr { return expr{not: true, op: op, args: args} }
func called(op string, args ...arg) arg { return arg{call: &expr{op: op, args: args}} }
func named(rule string) expr            { return expr{args: []arg{{name: rule}}} }
func inputAt(path []string) arg         { return arg{input: true, path: path} }
func literal(n *node) arg               { return arg{value: n} }
func literals(items []*node) arg        { return arg{set: append([]*node{}, items...)} }

// text is the expression as Rego.
func (e *expr) text() string {
	s := ""
	if e.not {
		s = "not "
	}
	switch e.op {
	case "":
		return s + e.args[0].name
	case "some":
		return "some " + e.args[0].name + " in " + e.args[1].text()
	case "==", "!=", ">", "<", ">=", "<=", "in":
		return s + e.args[0].text() + " " + e.op + " " + e.args[1].text()
	}
	return s + e.op + "(" + texts(e.args, (*arg).text) + ")"
}

func texts[T any](all []T, text func(*T) string) string {
	parts := make([]string, len(all))
	for i := range all {
		parts[i] = text(&all[i])
	}
	return strings.Join(parts, ", ")
}

func (a *arg) text() string {
	switch {
	case a.input:
		return reference("input", a.path)
	case a.value != nil:
		return string(a.value.appendJSON(nil))
	case a.set != nil:
		return setOf(a.set)
	case a.list != nil:
		return "[" + texts(a.list, (*arg).text) + "]"
	case a.call != nil:
		return a.call.text()
	}
	return a.name
}

// lowering writes expressions as OPA's compiler leaves them: what calls make has a name, and is computed before the
// expression that uses it, a negated one included.
type lowering struct {
	names int // given so far in a rule
	vars  map[string]*ast.Term
}

var operatorsOf = map[string]*ast.Builtin{"==": ast.Equality, "!=": ast.NotEqual, ">": ast.GreaterThan, "<": ast.LessThan,
	">=": ast.GreaterThanEq, "<=": ast.LessThanEq, "in": ast.Member}

func (w *lowering) name() *ast.Term {
	w.names++
	return ast.VarTerm(ast.LocalVarPrefix + strconv.Itoa(w.names) + "__")
}

// body appends expressions to a body.
func (w *lowering) body(b ast.Body, es []expr) ast.Body {
	for i := range es {
		b = w.expr(b, &es[i])
	}
	return b
}

func (w *lowering) expr(b ast.Body, e *expr) ast.Body {
	if e.any != nil {
		return w.either(b, e.any)
	}
	if e.op == "some" {
		set, key, element := w.name(), w.name(), w.name()
		if w.vars == nil {
			w.vars = map[string]*ast.Term{}
		}
		w.vars[e.args[0].name] = element
		b = append(b, callOf(ast.Equality, set, w.term(&b, &e.args[1])))
		return append(b, callOf(ast.Equality, element, ast.NewTerm(ast.Ref{set, key})))
	}
	op := operatorsOf[e.op]
	if op == nil {
		op = ast.BuiltinMap[e.op]
	}
	args := make([]*ast.Term, len(e.args))
	for i := range e.args {
		args[i] = w.term(&b, &e.args[i])
	}
	x := callOf(op, args...)
	x.Negated = e.not
	return append(b, x)
}

func callOf(op *ast.Builtin, args ...*ast.Term) *ast.Expr {
	return &ast.Expr{Terms: append([]*ast.Term{ast.NewTerm(op.Ref())}, args...)}
}

func (w *lowering) term(b *ast.Body, a *arg) *ast.Term {
	switch {
	case a.input:
		ref := make(ast.Ref, 0, 1+len(a.path))
		ref = append(ref, ast.InputRootDocument)
		for _, s := range a.path {
			ref = append(ref, ast.StringTerm(s))
		}
		return ast.NewTerm(ref)
	case a.value != nil:
		return ast.NewTerm(a.value.value())
	case a.set != nil:
		terms := make([]*ast.Term, len(a.set))
		for i, n := range a.set {
			terms[i] = ast.NewTerm(n.value())
		}
		return ast.SetTerm(terms...)
	case a.list != nil:
		terms := make([]*ast.Term, len(a.list))
		for i := range a.list {
			terms[i] = w.term(b, &a.list[i])
		}
		return ast.ArrayTerm(terms...)
	case a.call != nil:
		made := w.name()
		args := make([]*ast.Term, len(a.call.args), len(a.call.args)+1)
		for i := range a.call.args {
			args[i] = w.term(b, &a.call.args[i])
		}
		*b = append(*b, callOf(ast.BuiltinMap[a.call.op], append(args, made)...))
		return made
	}
	return w.vars[a.name]
}

// either appends that one of the bodies holds; what they name is their own.
func (w *lowering) either(b ast.Body, bodies [][]expr) ast.Body {
	if len(bodies) == 1 {
		return w.body(b, bodies[0])
	}
	var last ast.Body
	for i, es := range slices.Backward(bodies) {
		one := w.body(nil, es)
		if i < len(bodies)-1 {
			one = ast.Body{{Terms: &ast.LogicalOr{Lhs: one, Rhs: last}}}
		}
		last = one
	}
	return append(b, last...)
}
