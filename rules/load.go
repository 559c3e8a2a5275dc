package rules

import (
	"bytes"
	"context"
	"embed"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

//go:embed builtin
var builtinFiles embed.FS

// Load reads, checks, generates, merges and compiles a set of policies, and evaluates it once, so that no request pays
// for what evaluators do at first use. Its error is Problems: everything that is wrong. It may be called from several
// goroutines at once; ctx stops it between files. Whoever loads one set after the other has a Loader.
func Load(ctx context.Context, o Options) (*Set, error) { return NewLoader().Load(ctx, o) }

// read takes all sources and settles which policies there are. Its error is that of ctx; problems are in l.
func (l *loader) read(ctx context.Context, o *Options) error {
	files := o.files(&l.problems)
	for i := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.file(&files[i])
	}
	if o.Builtin {
		l.builtins()
	}
	for i := range o.Extra {
		l.source(&o.Extra[i])
	}
	l.settle()
	return ctx.Err()
}

// loader gathers what the sources hold.
type loader struct {
	problems Problems
	tests    bool // take _test.rego too
	cache    *memory
	count    *LoaderStats

	modules  []*regoFile
	structs  []*piece
	files    []*dataFile
	data     *dataTree // once settled
	digests  []string
	forced   map[string]bool   // Rego policies that their Source disables
	fixed    map[string]string // ids that a Source claims, to its origin
	policies []PolicyInfo      // once settled
}

func (l *loader) file(f *file) {
	switch {
	case f.test && !l.tests:
	case f.ext == ".rego":
		if m := l.rego(f.name, f.text); m != nil {
			l.digest("rego", m.digest)
		}
	default:
		l.document(f)
	}
}

// rego takes a module; nil where problems were added.
func (l *loader) rego(name string, text []byte) *regoFile {
	p := l.cache.modules[name]
	if p == nil || !p.is(text, l.cache.turn) {
		m, ok := parseRego(name, text, &l.problems)
		if !ok {
			return nil
		}
		p = &parsed{kept: newKept(text, l.cache.turn), name: name, module: m, refs: dataRefs(m)}
		l.cache.modules[name] = p
		l.count.Modules++
	}
	f := &regoFile{name: name, module: p.module, text: text, parsed: p}
	l.modules = append(l.modules, f)
	return f
}

// document takes a JSON or YAML file: a structured policy, or data.
func (l *loader) document(f *file) {
	if p := l.cache.pieces[f.name]; p != nil && !p.disabled && p.is(f.text, l.cache.turn) {
		l.digest("policy", p.digest)
		l.structs = append(l.structs, p)
		return
	}
	d := l.cache.data[f.name]
	if d == nil || !slices.Equal(d.dir, f.dir) || !d.is(f.text, l.cache.turn) {
		doc, ok := l.parse(f.name, f.ext == ".json", f.text)
		if !ok || doc == nil {
			return
		}
		if doc.kind == pdp.Object && doc.get("policy_id") != nil {
			if p := l.structured(f.name, f.text, doc, f.ext == ".json", false); p != nil {
				l.digest("policy", p.digest)
			}
			return
		}
		d = &dataFile{kept: newKept(f.text, l.cache.turn), name: f.name, dir: f.dir, doc: doc}
		l.cache.data[f.name] = d
	}
	l.digest("data "+strings.Join(f.dir, "/"), d.digest)
	l.files = append(l.files, d)
}

func (l *loader) parse(name string, asJSON bool, text []byte) (*node, bool) {
	var doc *node
	var bad *Problem
	if asJSON {
		doc, bad = parseJSON(text)
	} else {
		doc, bad = parseYAML(text)
	}
	if bad != nil {
		bad.File = name
		l.problems.add(*bad)
		return nil, false
	}
	return doc, true
}

// structured takes a structured policy; nil where problems were added.
func (l *loader) structured(origin string, text []byte, doc *node, asJSON, disabled bool) *piece {
	s, ok := readStructured(origin, doc, &l.problems)
	if !ok {
		return nil
	}
	p := newPiece(newKept(text, l.cache.turn), s, origin, asJSON, disabled)
	l.cache.pieces[origin] = p
	l.structs = append(l.structs, p)
	l.count.Policies++
	return p
}

func (l *loader) builtins() {
	entries, _ := builtinFiles.ReadDir("builtin") // embedded: cannot fail
	for _, e := range entries {
		text, _ := builtinFiles.ReadFile("builtin/" + e.Name())
		name := "builtin:" + e.Name()
		if strings.HasSuffix(e.Name(), ".rego") {
			l.digest("builtin", l.rego(name, text).digest)
			continue
		}
		p := l.cache.pieces[name]
		if p != nil && p.is(text, l.cache.turn) {
			l.structs = append(l.structs, p)
		} else if doc, ok := l.parse(name, true, text); ok {
			p = l.structured(name, text, doc, true, false)
		}
		l.digest("builtin", p.digest)
	}
}

// source takes a policy that lies in no file.
func (l *loader) source(s *Source) {
	kind := "source"
	if s.Disabled {
		kind = "disabled source"
	}
	origin := s.Origin
	if origin == "" {
		origin = "policy:" + s.ID
	}
	wrongID := func(found string) {
		l.problems.add(Problem{File: origin, Policy: s.ID, Field: "policy_id", Detail: "the text is of the policy " + found})
	}
	if s.Form == FormRego {
		f := l.rego(origin, s.Text)
		if f == nil {
			return
		}
		l.digest(kind, f.digest)
		if id := policyID(f.module.Package); id != s.ID {
			wrongID("in package " + strings.TrimPrefix(f.module.Package.Path.String(), "data."))
			return
		}
		if l.fixed == nil {
			l.fixed, l.forced = map[string]string{}, map[string]bool{}
		}
		l.fixed[s.ID] = origin
		if s.Disabled {
			l.forced[s.ID] = true
		}
		return
	}
	p := l.cache.pieces[origin]
	if p != nil && p.disabled == s.Disabled && p.is(s.Text, l.cache.turn) {
		l.structs = append(l.structs, p)
	} else {
		asJSON := bytes.HasPrefix(bytes.TrimLeft(s.Text, " \t\r\n"), []byte("{"))
		doc, ok := l.parse(origin, asJSON, s.Text)
		if !ok {
			return
		}
		if doc == nil || doc.kind != pdp.Object {
			l.problems.add(Problem{File: origin, Policy: s.ID, Detail: "expected a policy, an object"})
			return
		}
		if p = l.structured(origin, s.Text, doc, asJSON, s.Disabled); p == nil {
			return
		}
	}
	l.digest(kind, p.digest)
	if p.info.ID != s.ID {
		wrongID(p.info.ID)
	}
}

// settle finds out which policies there are, and whether two sources define one.
func (l *loader) settle() {
	from := map[string]string{}
	claim := func(id, origin string) bool {
		first, taken := from[id]
		if taken {
			hint := ""
			if strings.HasPrefix(first, "builtin:") || strings.HasPrefix(origin, "builtin:") {
				hint = "; choose another id, or set policies.builtin to false"
			}
			l.problems.add(Problem{File: origin, Policy: id, Field: "policy_id", Detail: "is already defined by " + first + hint})
		}
		from[id] = origin
		return !taken
	}
	l.mergeData()
	slices.SortStableFunc(l.structs, func(a, b *piece) int { return strings.Compare(a.info.ID, b.info.ID) })
	l.structs = slices.DeleteFunc(l.structs, func(p *piece) bool {
		if !claim(p.info.ID, p.origin) {
			return true
		}
		l.policies = append(l.policies, p.info)
		return false
	})
	off := map[*regoFile]bool{}
	for _, p := range gather(l.modules, &l.problems) {
		if !claim(p.info.ID, p.info.Origin) {
			continue
		}
		if origin, ok := l.fixed[p.info.ID]; ok {
			for _, f := range p.files {
				if f.name != origin {
					l.problems.add(Problem{File: f.name, Policy: p.info.ID, Detail: "is already defined by " + origin})
				}
			}
			p.info.Enabled = p.info.Enabled && !l.forced[p.info.ID]
		}
		if !p.info.Enabled {
			for _, f := range p.files {
				off[f] = true
			}
		}
		l.policies = append(l.policies, p.info)
	}
	// A module of a structured policy's package would add rules to the policy.
	for _, f := range l.modules {
		if id := policyID(f.module.Package); id != "" && f.policy == "" {
			if first, taken := from[id]; taken {
				l.problems.add(Problem{File: f.name, Policy: id, Detail: "the package is that of the policy defined by " + first})
			}
		}
	}
	l.modules = slices.DeleteFunc(l.modules, func(f *regoFile) bool { return off[f] })
	slices.SortFunc(l.policies, func(a, b PolicyInfo) int { return strings.Compare(a.ID, b.ID) })
}

// mergeData makes one tree of the data files, or takes the one that there is.
func (l *loader) mergeData() {
	c := l.cache
	if c.tree == nil || !slices.Equal(c.treeOf, l.files) {
		before := len(l.problems)
		c.tree, c.treeOf = &dataTree{}, l.files
		for _, d := range l.files {
			c.tree.add(d.name, d.dir, d.doc, &l.problems)
		}
		if len(l.problems) > before {
			l.data, c.tree = c.tree, nil
			return
		}
	}
	l.data = c.tree
}

// active are the enabled policies, as the snapshot has them.
func active(infos []PolicyInfo) []pdp.Policy {
	var out []pdp.Policy
	for i := range infos {
		if p := &infos[i]; p.Enabled {
			name := p.Name
			if name == "" {
				name = p.ID
			}
			out = append(out, pdp.Policy{ID: p.ID, Name: name, Version: p.Version, Default: p.Default, Rules: p.Rules})
		}
	}
	return out
}

// checkReserved refuses references to the generated package.
func checkReserved(files []*regoFile, problems *Problems) {
	for _, f := range files {
		ast.WalkRefs(f.module, func(ref ast.Ref) bool {
			if len(ref) > 1 && ref[0].Equal(ast.DefaultRootDocument) && ref[1].Value.Compare(ast.String(generatedRoot)) == 0 {
				loc := ref[0].Location
				p := Problem{File: f.name, Detail: "the name data[" + quote(generatedRoot) + "] is reserved"}
				if loc != nil {
					p.Line, p.Column = loc.Row, loc.Col
				}
				problems.add(p)
			}
			return false
		})
	}
}
