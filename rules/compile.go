package rules

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// assembled is what a set's sources become before compilation.
type assembled struct {
	files    []*regoFile
	modules  map[string]*ast.Module
	policyOf map[string]string // module name to policy id; libraries are not in it
	lines    map[string][]int  // name of a generated module to the lines of its source
	guards   []guard
	dodges   map[string]bool
}

// assemble parses what was generated and checks all modules; problems are in l where it finds any.
func (l *loader) assemble(o *Options) *assembled {
	a := &assembled{files: slices.Clone(l.modules), modules: map[string]*ast.Module{}, policyOf: map[string]string{},
		lines: map[string][]int{}, dodges: map[string]bool{}}
	for _, s := range l.structs {
		if s.gen == nil {
			continue
		}
		m, ok := parseRego(s.origin, s.gen.text, &l.problems)
		if !ok {
			continue
		}
		a.lines[s.origin] = s.gen.lines
		a.guards = append(a.guards, s.gen.guard...)
		a.dodges[s.id] = len(s.gen.guard) > 0
		a.files = append(a.files, &regoFile{name: s.origin, module: m, policy: s.id})
	}
	checkAllowed(o.AllowBuiltins, &l.problems)
	checkBuiltins(l.modules, o.AllowBuiltins, &l.problems)
	checkReserved(l.modules, &l.problems)
	for _, f := range a.files {
		a.modules[f.name] = f.module
		if f.policy != "" {
			a.policyOf[f.name] = f.policy
		}
	}
	return a
}

func (l *loader) compiler(o *Options) *ast.Compiler {
	return ast.NewCompiler().SetErrorLimit(0).WithCapabilities(capabilities(o.AllowBuiltins)).
		WithPathConflictsCheck(func(path []string) (bool, error) { return l.data.has(path), nil })
}

// compile makes the set out of what the sources held; it adds problems where it cannot.
func (l *loader) compile(o *Options) *Set {
	a := l.assemble(o)
	if len(l.problems) > 0 {
		return nil // effect rules of another shape must not reach the merge
	}
	policies := active(l.policies)
	m := newMerge(a.files, policies)
	m.dodges = a.dodges
	a.modules[generatedRoot] = m.module()
	c := l.compiler(o).WithStageAfterID(ast.StageResolveRefs,
		ast.CompilerStageDefinition{Name: "Merge", MetricName: "merge", Stage: m.stage(a.policyOf)})
	c.Compile(a.modules)
	if c.Failed() {
		l.compileProblems(c.Errors, a.lines, a.policyOf)
		return nil
	}
	ev := newEvaluator(c, l.data.value(), m, policies, a.files)
	ev.lines, ev.guards = a.lines, uniqueGuards(a.guards)
	set := &Set{Policies: l.policies, Snapshot: &pdp.Snapshot{Policies: policies, Rules: m.rows,
		Default: pdp.StrictestDefault(policies), Eval: ev}}
	if o.Entrypoint != "" {
		path := splitEntrypoint(o.Entrypoint)
		if !ev.defines(path) {
			l.problems.add(Problem{Field: "policies.entrypoint", Detail: "no rule and no data at " + quote(o.Entrypoint),
				Nearest: nearest(strings.Join(path, "/"), ev.documents())})
			return nil
		}
		set.Snapshot.EntryPath = o.Entrypoint
		set.Snapshot.Entrypoint = ev.Query(path)
	}
	return set
}

// compileProblems adds the compiler's errors at the places of their sources. A rule and its copy report the same.
func (l *loader) compileProblems(errs ast.Errors, lines map[string][]int, policyOf map[string]string) {
	from := len(l.problems)
	regoProblems("", errs, &l.problems)
	for i := range l.problems[from:] {
		p := &l.problems[from+i]
		p.Policy = policyOf[p.File]
		if m := lines[p.File]; p.Line > 0 && p.Line <= len(m) {
			p.Line, p.Column = m[p.Line-1], 0
		}
	}
}

func uniqueGuards(gs []guard) []guard {
	seen := map[string]bool{}
	return slices.DeleteFunc(gs, func(g guard) bool {
		key := string(g.class) + "\x00" + strings.Join(g.path, "\x00")
		was := seen[key]
		seen[key] = true
		return was
	})
}
