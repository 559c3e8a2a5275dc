package rules

import (
	"context"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// compile makes the set out of what the sources held; it adds problems where it cannot.
func (l *loader) compile(_ context.Context, o *Options) *Set {
	modules := map[string]*ast.Module{}
	policyOf := map[string]string{}
	lines := map[string][]int{}
	var guards []guard
	files := slices.Clone(l.modules)
	dodges := map[string]bool{}
	for _, s := range l.structs {
		if s.gen == nil {
			continue
		}
		m, ok := parseRego(s.origin, s.gen.text, &l.problems)
		if !ok {
			continue
		}
		lines[s.origin] = s.gen.lines
		guards = append(guards, s.gen.guard...)
		dodges[s.id] = len(s.gen.guard) > 0
		files = append(files, &regoFile{name: s.origin, module: m, policy: s.id})
	}
	checkAllowed(o.AllowBuiltins, &l.problems)
	checkBuiltins(l.modules, o.AllowBuiltins, &l.problems)
	checkReserved(l.modules, &l.problems)
	for _, f := range files {
		modules[f.name] = f.module
		if f.policy != "" {
			policyOf[f.name] = f.policy
		}
	}
	if len(l.problems) > 0 {
		// Effect rules of another shape must not reach the merge.
		return nil
	}
	policies := active(l.policies)
	m := newMerge(files, policies)
	m.dodges = dodges
	modules[generatedRoot] = m.module()
	c := ast.NewCompiler().SetErrorLimit(0).WithCapabilities(capabilities(o.AllowBuiltins)).
		WithStageAfterID(ast.StageResolveRefs, ast.CompilerStageDefinition{Name: "Merge", MetricName: "merge", Stage: m.stage(policyOf)}).
		WithPathConflictsCheck(func(path []string) (bool, error) { return l.data.has(path), nil })
	c.Compile(modules)
	if c.Failed() {
		l.compileProblems(c.Errors, lines, policyOf)
		return nil
	}
	ev := newEvaluator(c, l.data.value(), m, policies, files)
	ev.lines, ev.guards = lines, uniqueGuards(guards)
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
