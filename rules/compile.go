package rules

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// assembled is what a set's sources become before compilation.
type assembled struct {
	files    []*regoFile
	modules  map[string]*ast.Module
	policyOf map[string]string // module name to policy id; libraries are not in it
	lines    map[string][]int  // name of a generated module to the lines of its source
	guards   []guard
	dodges   map[string]bool
	has      map[string]bool // policies
}

// assemble generates and parses what becomes of structured policies and checks all modules; problems are in l where it
// finds any.
func (l *loader) assemble(o *Options, structs []*piece) *assembled {
	a := &assembled{files: slices.Clone(l.modules), modules: map[string]*ast.Module{}, policyOf: map[string]string{},
		lines: map[string][]int{}, dodges: map[string]bool{}, has: map[string]bool{}}
	for _, p := range structs {
		gen := generate(p.structured(), false)
		m, ok := parseRego(p.origin, gen.text, &l.problems)
		if !ok {
			continue
		}
		a.lines[p.origin] = gen.lines
		a.guards = append(a.guards, gen.guard...)
		a.dodges[p.info.ID] = len(gen.guard) > 0
		a.files = append(a.files, &regoFile{name: p.origin, module: m, policy: p.info.ID})
	}
	checkAllowed(o.AllowBuiltins, &l.problems)
	checkBuiltins(l.modules, o.AllowBuiltins, &l.problems)
	checkReserved(l.modules, &l.problems)
	for _, f := range a.files {
		a.modules[f.name] = f.module
		if f.policy != "" {
			a.policyOf[f.name] = f.policy
			a.has[f.policy] = true
		}
	}
	return a
}

func (l *loader) compiler(o *Options) *ast.Compiler {
	return ast.NewCompiler().SetErrorLimit(0).WithCapabilities(capabilities(o.AllowBuiltins)).
		WithPathConflictsCheck(func(path []string) (bool, error) { return l.data.has(path), nil })
}

// maxRounds bounds how often compileProblems compiles: each round finds the errors of one more of the compiler's stages.
const maxRounds = 8

// compileProblems adds the compiler's errors at the places of their sources. The compiler stops at the first stage that
// finds any, and the author wants all of them: so the rules at fault are made harmless and the rest compiled again.
func (l *loader) compileProblems(o *Options, a *assembled) {
	for name, m := range a.modules {
		a.modules[name] = m.Copy() // what was parsed is used again
	}
	for range maxRounds {
		c := l.compiler(o)
		c.Compile(a.modules)
		if !c.Failed() {
			return
		}
		from := len(l.problems)
		regoProblems("", c.Errors, &l.problems)
		found := false
		for i := range l.problems[from:] {
			p := &l.problems[from+i]
			found = neutralise(a.modules[p.File], p.Line) || found
			p.Policy = a.policyOf[p.File]
			if m := a.lines[p.File]; p.Line > 0 && p.Line <= len(m) {
				p.Line, p.Column = m[p.Line-1], 0
			}
		}
		told, below := collisions(l.problems[from:], a.policyOf)
		l.problems = append(l.problems[:from], told...)
		for _, file := range below {
			delete(a.modules, file)
			found = true
		}
		if !found {
			return
		}
	}
}

// neutralise makes the rule at a line one that nothing is wrong with, whose value may be anything, and says whether it
// changed one. The rule stays, since others may refer to it.
func neutralise(m *ast.Module, line int) bool {
	if m == nil {
		return false
	}
	var at *ast.Rule
	for _, r := range m.Rules {
		if r.Location != nil && r.Location.Row <= line && (at == nil || r.Location.Row >= at.Location.Row) {
			at = r
		}
	}
	if at == nil || len(at.Body) == 1 && at.Body[0].Location == nil {
		return false
	}
	anything := func() *ast.Term { return ast.NewTerm(ast.InputRootRef.Copy()) }
	at.Body, at.Else = ast.NewBody(ast.NewExpr(ast.BooleanTerm(true))), nil
	if at.Head.Key != nil {
		at.Head.Key = anything()
	}
	if at.Head.Value != nil {
		at.Head.Value = anything()
	}
	return true
}

// uniqueGuards appends the guards that were not seen yet.
func uniqueGuards(to, gs []guard, seen map[string]bool) []guard {
	for i := range gs {
		if g := &gs[i]; !seen[g.key] {
			seen[g.key] = true
			to = append(to, *g)
		}
	}
	return to
}
