package rules

import (
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
	"thymus/rules/native"
)

// world is what OPA compiles of a set: its Rego modules, its data, and the structured policies that belong to them. It
// numbers its policies and rows by itself, so that it can be a part of many sets.
type world struct {
	key      string
	ev       *evaluator
	rows     []pdp.Rule
	policies []pdp.Policy
	modules  []*regoFile
	ranked   []ranked
	warned   Problems     // but for what ranks tell
	base     *native.Base // nil: topdown evaluates everything
	report   *native.Report
	err      error // why there is no base
}

// source is the text of a module; empty where there is none of that name.
func (w *world) source(name string) string {
	for _, f := range w.modules {
		if f.name == name {
			return string(f.text)
		}
	}
	return ""
}

// worldKey tells what goes into a world. It names texts by digest, and where they lie, since faults and problems do.
func (l *loader) worldKey(o *Options, joined []*piece) string {
	var b strings.Builder
	put := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(strconv.Itoa(len(p)))
			b.WriteByte(' ')
			b.WriteString(p)
		}
		b.WriteByte('\n')
	}
	put(string(o.Engine), o.Entrypoint)
	put(o.AllowBuiltins...)
	for _, f := range l.modules {
		put("rego", f.name, f.digest)
	}
	for _, p := range joined {
		put("policy", p.origin, p.digest)
	}
	for _, d := range l.files {
		put("data", d.name, d.digest)
		put(d.dir...)
	}
	return b.String()
}

// world compiles what belongs together, or takes what was compiled before. It adds problems where it cannot, and then
// returns nil.
func (l *loader) world(o *Options, joined []*piece) *world {
	key := l.worldKey(o, joined)
	if w := l.cache.world; w != nil && w.key == key {
		return w
	}
	w := l.compileWorld(o, joined)
	if w == nil {
		return nil
	}
	w.key = key
	if o.Engine != EngineTopdown {
		opts := w.ev.nativeOptions()
		opts.Tables = l.cache.tables
		w.base, w.report, w.err = native.NewBase(opts)
	}
	l.count.Worlds++
	l.cache.world = w
	return w
}

// structuredDocuments are the effect sets of structured policies, as entrypoints name them.
func (l *loader) structuredDocuments() (out []string) {
	for _, p := range l.enabled() {
		at := strings.Join(packagePath(p.info.ID), "/")
		out = append(out, at)
		for i := range p.rows {
			out = append(out, at+"/"+p.rows[i].Effect.String())
		}
	}
	return out
}

// compileWorld compiles for topdown.
func (l *loader) compileWorld(o *Options, joined []*piece) *world {
	a := l.assemble(o, joined)
	if len(l.problems) > 0 {
		return nil // effect rules of another shape must not reach the merge
	}
	policies := active(slices.DeleteFunc(slices.Clone(l.policies), func(p *PolicyInfo) bool { return !a.has[p.ID] }))
	m := newMerge(a.files, policies)
	m.dodges = a.dodges
	a.modules[generatedRoot] = m.module()
	c := l.compiler(o).WithStageAfterID(ast.StageResolveRefs,
		ast.CompilerStageDefinition{Name: "Merge", MetricName: "merge", Stage: m.stage(a.policyOf)})
	c.Compile(a.modules)
	if c.Failed() {
		delete(a.modules, generatedRoot)
		if l.compileProblems(o, a); len(l.problems) == 0 { // only the merge failed, which must not be
			regoProblems("", c.Errors, &l.problems)
		}
		return nil
	}
	ev := newEvaluator(c, l.data.value(), m, policies, a.files)
	ev.lines, ev.guards, ev.reads = a.lines, uniqueGuards(nil, a.guards, map[string]bool{}), readsOf(c)
	if path := splitEntrypoint(o.Entrypoint); o.Entrypoint != "" && !ev.defines(path) {
		l.problems.add(Problem{Field: "policies.entrypoint", Detail: "no rule and no data at " + quote(o.Entrypoint),
			Nearest: nearest(strings.Join(path, "/"), append(ev.documents(), l.structuredDocuments()...))})
		return nil
	}
	w := &world{ev: ev, rows: m.rows, policies: policies, modules: l.modules}
	w.ranked, w.warned = rankedRules(a)
	return w
}
