package native

import (
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// infallible are builtins that have an answer for arguments of every type.
var infallible = map[string]bool{
	"eq": true, "equal": true, "neq": true, "lt": true, "lte": true, "gt": true, "gte": true,
	"internal.member_2": true, "internal.member_3": true,
	"is_string": true, "is_number": true, "is_boolean": true, "is_array": true, "is_object": true, "is_set": true,
	"is_null": true, "type_name": true,
}

// cannotFail says that no further solution of a rule's body could raise an error, so that the first is enough where
// the head is constant.
func (c *compiler) cannotFail(r *ast.Rule) bool { return c.bodyCannotFail(r.Body) }

func (c *compiler) bodyCannotFail(b ast.Body) bool {
	for _, e := range b {
		if !c.exprCannotFail(e) {
			return false
		}
	}
	return true
}

func (c *compiler) exprCannotFail(e *ast.Expr) bool {
	if len(e.With) > 0 {
		return false
	}
	switch t := e.Terms.(type) {
	case *ast.Term:
		return c.termCannotFail(t)
	case []*ast.Term:
		if !infallible[t[0].String()] {
			return false
		}
		for _, x := range t[1:] {
			if !c.termCannotFail(x) {
				return false
			}
		}
		return true
	case *ast.Every:
		return c.termCannotFail(t.Domain) && c.bodyCannotFail(t.Body)
	case *ast.Not:
		return c.bodyCannotFail(t.Body)
	case *ast.LogicalAnd:
		return c.bodyCannotFail(t.Lhs) && c.bodyCannotFail(t.Rhs)
	case *ast.LogicalOr:
		return c.bodyCannotFail(t.Lhs) && c.bodyCannotFail(t.Rhs)
	}
	return false
}

func (c *compiler) termCannotFail(t *ast.Term) bool {
	ok := true
	vis := ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			ok = ok && !c.virtual(x)
		case ast.Call, *ast.ObjectComprehension:
			ok = false
		case *ast.ArrayComprehension:
			ok = ok && c.bodyCannotFail(x.Body)
			return true
		case *ast.SetComprehension:
			ok = ok && c.bodyCannotFail(x.Body)
			return true
		}
		return !ok
	})
	vis.Walk(t)
	return ok
}

// virtual says whether a reference can meet a rule.
func (c *compiler) virtual(ref ast.Ref) bool {
	if !ref[0].Equal(ast.DefaultRootDocument) {
		return false
	}
	t := c.prog.root
	for _, k := range ref[1:] {
		if !ast.IsConstant(k.Value) {
			return t != nil && len(t.kids) > 0
		}
		kv, err := c.m.constant(k.Value)
		if err != nil {
			return true
		}
		if t = t.child(c.m, kv); t == nil {
			return false
		}
		if t.group != nil {
			return true
		}
	}
	return true
}

// known is a variable whose value can be read before the body runs.
type known struct {
	path string
	load getter
}

// opens finds the tests that dispatch can use: see test and opening.
func (c *compiler) opens(r *ast.Rule) opening {
	if r.Else != nil {
		return opening{}
	}
	var out []test
	var named []string // paths of which nothing may be asked but that there is a value
	all := len(r.Head.Args) == 0
	vars := map[ast.Var]known{}
	texts := map[string]bool{} // what is known to be text here
	for i, a := range r.Head.Args {
		k := known{path: "#" + strconv.Itoa(i), load: func(f *frame) val { return f.r[i] }}
		if x, ok := a.Value.(ast.Var); ok {
			if _, again := vars[x]; !again {
				vars[x] = k
			}
		} else if ast.IsConstant(a.Value) {
			out = c.addTest(out, k, a)
		}
	}
	for _, e := range r.Body {
		asked := len(out)
		if len(e.With) > 0 {
			all = false
			break
		}
		t, ok := e.Terms.([]*ast.Term)
		if ok && !e.Negated && len(t) == 3 {
			switch t[0].String() {
			case "eq", "equal":
				if more, path, found := c.equality(out, vars, t[1], t[2]); found {
					if out = more; len(out) == asked {
						named = append(named, path)
					}
					continue
				}
			case "internal.member_2":
				if k, found := c.knownTerm(vars, t[1]); found {
					out = c.addMembers(out, k, t[2])
				}
			}
		}
		all = all && len(out) > asked
		if ok && !e.Negated {
			if subject, prefix, found := prefixOf(t); found {
				k, known := c.knownTerm(vars, subject)
				if known && prefix != "" {
					out = append(out, test{path: "^" + k.path, load: k.load, vals: []val{c.m.internText(prefix)}, prefix: true})
				}
				if known && texts[k.path] && t[0].String() == "startswith" {
					continue
				}
				break // an error for what is no text, or too long a text for a pattern
			}
			if len(t) == 2 && t[0].String() == "is_string" {
				if k, known := c.knownTerm(vars, t[1]); known {
					texts[k.path] = true
				}
			}
		}
		if !c.exprCannotFail(e) {
			break
		}
	}
	return opening{tests: slices.Clip(out), all: all && apart(out) && covered(named, out)}
}

// apart says that no two tests are of one value.
func apart(tests []test) bool {
	for i := range tests {
		if slices.ContainsFunc(tests[:i], func(t test) bool { return t.path == tests[i].path }) {
			return false
		}
	}
	return true
}

// covered says that there is a test of the value at each path.
func covered(paths []string, tests []test) bool {
	for _, p := range paths {
		if !slices.ContainsFunc(tests, func(t test) bool { return t.path == p }) {
			return false
		}
	}
	return true
}

// prefixOf is what a text must begin with for a test of it to hold: startswith, a glob, or an anchored regular
// expression, with a constant pattern that compiles. The result of the call must not be captured.
func prefixOf(t []*ast.Term) (subject *ast.Term, prefix string, ok bool) {
	switch name := t[0].String(); {
	case name == "startswith" && len(t) == 3:
		p, ok := constantText(t[2])
		return t[1], p, ok
	case name == "regex.match" && len(t) == 3:
		p, ok := constantText(t[1])
		return t[2], regexPrefix(p), ok && special(name, t[1:]) != nil
	case name == "glob.match" && len(t) == 4:
		p, ok := constantText(t[1])
		if i := strings.IndexAny(p, `*?[]{}\!`); i >= 0 {
			p = p[:i]
		}
		return t[3], p, ok && special(name, t[1:]) != nil
	}
	return nil, "", false
}

// regexPrefix is the literal text that every match of an anchored expression begins with.
func regexPrefix(p string) string {
	re, err := syntax.Parse(p, syntax.Perl)
	if err != nil {
		return ""
	}
	var parts []*syntax.Regexp
	var flat func(x *syntax.Regexp)
	flat = func(x *syntax.Regexp) {
		if x.Op == syntax.OpConcat || x.Op == syntax.OpCapture {
			for _, y := range x.Sub {
				flat(y)
			}
			return
		}
		parts = append(parts, x)
	}
	flat(re)
	if len(parts) < 2 || parts[0].Op != syntax.OpBeginText {
		return ""
	}
	prefix := ""
	for _, x := range parts[1:] {
		if x.Op != syntax.OpLiteral || x.Flags&syntax.FoldCase != 0 {
			break
		}
		prefix += string(x.Rune)
	}
	return prefix
}

// equality reads `known = constant` as a test and `variable = known` as a name for what is known, at the path.
func (c *compiler) equality(out []test, vars map[ast.Var]known, a, b *ast.Term) (tests []test, path string, found bool) {
	for range 2 {
		if k, ok := c.knownTerm(vars, a); ok {
			if ast.IsConstant(b.Value) {
				return c.addTest(out, k, b), k.path, true
			}
			if x, isVar := b.Value.(ast.Var); isVar {
				if _, again := vars[x]; !again {
					vars[x] = k
					return out, k.path, true
				}
			}
		}
		a, b = b, a
	}
	return out, "", false
}

// knownTerm is a term that can be read before the body runs: an argument, or constant names below one or the input.
func (c *compiler) knownTerm(vars map[ast.Var]known, t *ast.Term) (known, bool) {
	switch x := t.Value.(type) {
	case ast.Var:
		k, ok := vars[x]
		return k, ok
	case ast.Ref:
		n := len(x)
		for _, s := range x[1:] {
			if !isString(s) {
				return known{}, false
			}
		}
		if x[0].Equal(ast.InputRootDocument) && n > 1 {
			return known{path: x.String(), load: c.inputPath(x[1:])}, true
		}
		head, ok := x[0].Value.(ast.Var)
		if k, found := vars[head]; ok && found {
			var ops []operand
			for _, s := range x[1:] {
				ops = append(ops, operand{constant: true, k: strVal(string(s.Value.(ast.String)))})
			}
			return known{path: k.path + x[1:].String(), load: follow(k.load, ops, false)}, true
		}
	}
	return known{}, false
}

func (c *compiler) addTest(out []test, k known, t *ast.Term) []test {
	v, err := c.m.constant(t.Value)
	if err != nil {
		return out
	}
	return append(out, test{path: k.path, load: k.load, vals: []val{v}})
}

func (c *compiler) addMembers(out []test, k known, t *ast.Term) []test {
	if !ast.IsConstant(t.Value) {
		return out
	}
	v, err := c.m.constant(t.Value)
	if err != nil || v.kind != array && v.kind != set || len(v.node().e) > manyValues {
		return out
	}
	return append(out, test{path: k.path, load: k.load, vals: v.node().e})
}
