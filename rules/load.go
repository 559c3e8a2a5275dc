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
	inOrder  []*piece // as they were read
	files    []*dataFile
	data     *dataTree // once settled
	digests  []string
	forced   map[string]bool   // Rego policies that their Source disables
	fixed    map[string]string // ids that a Source claims, to its origin
	policies []*PolicyInfo     // once settled
}

func (l *loader) file(f *file) {
	switch {
	case f.test && !l.tests:
	case f.ext == ".rego":
		if m := l.rego(f.name, f.text); m != nil {
			l.digest("rego", &m.kept)
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
	if p := l.cache.piece(f.name); p != nil && !p.disabled && p.is(f.text, l.cache.turn) {
		l.digest("policy", &p.kept)
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
				l.digest("policy", &p.kept)
			}
			return
		}
		d = &dataFile{kept: newKept(f.text, l.cache.turn), name: f.name, dir: f.dir, doc: doc, kind: "data " + strings.Join(f.dir, "/")}
		l.cache.data[f.name] = d
	}
	l.digest(d.kind, &d.kept)
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
	p := l.cache.newPiece(newKept(text, l.cache.turn), s, origin, asJSON, disabled)
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
			l.digest("builtin", &l.rego(name, text).kept)
			continue
		}
		p := l.cache.piece(name)
		if p != nil && p.is(text, l.cache.turn) {
			l.structs = append(l.structs, p)
		} else if doc, ok := l.parse(name, true, text); ok {
			p = l.structured(name, text, doc, true, false)
		}
		l.digest("builtin", &p.kept)
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
		l.digest(kind, &f.kept)
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
	p := l.cache.piece(origin)
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
	l.digest(kind, &p.kept)
	if p.info.ID != s.ID {
		wrongID(p.info.ID)
	}
}

// settle finds out which policies there are, and whether two sources define one.
func (l *loader) settle() {
	l.mergeData()
	l.inOrder = slices.Clone(l.structs)
	l.sortStructs()
	structs := l.structs[:0]
	for i, p := range l.structs {
		if n := len(structs); i > 0 && structs[n-1].info.ID == p.info.ID {
			l.twice(p.info.ID, structs[n-1].origin, p.origin)
			continue
		}
		structs = append(structs, p)
	}
	l.structs = structs
	modules := gather(l.modules, &l.problems)
	from := make(map[string]string, len(modules)) // policies in Rego
	l.policies = make([]*PolicyInfo, 0, len(structs)+len(modules))
	for _, p := range structs {
		l.policies = append(l.policies, &p.info)
	}
	first := func(id string) (string, bool) {
		if origin, ok := from[id]; ok {
			return origin, true
		}
		at, ok := slices.BinarySearchFunc(structs, id, func(p *piece, id string) int { return strings.Compare(p.info.ID, id) })
		if !ok {
			return "", false
		}
		return structs[at].origin, true
	}
	off := map[*regoFile]bool{}
	for _, p := range modules {
		other, taken := first(p.info.ID)
		from[p.info.ID] = p.info.Origin
		if taken {
			l.twice(p.info.ID, other, p.info.Origin)
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
		l.policies = append(l.policies, &p.info)
	}
	// A module of a structured policy's package would add rules to the policy.
	for _, f := range l.modules {
		if id := policyID(f.module.Package); id != "" && f.policy == "" {
			if other, taken := first(id); taken {
				l.problems.add(Problem{File: f.name, Policy: id, Detail: "the package is that of the policy defined by " + other})
			}
		}
	}
	l.modules = slices.DeleteFunc(l.modules, func(f *regoFile) bool { return off[f] })
	if len(modules) > 0 {
		slices.SortFunc(l.policies, func(a, b *PolicyInfo) int { return strings.Compare(a.ID, b.ID) })
	}
}

// twice refuses a policy that two sources define.
func (l *loader) twice(id, first, origin string) {
	hint := ""
	if strings.HasPrefix(first, "builtin:") || strings.HasPrefix(origin, "builtin:") {
		hint = "; choose another id, or set policies.builtin to false"
	}
	l.problems.add(Problem{File: origin, Policy: id, Field: "policy_id", Detail: "is already defined by " + first + hint})
}

// sortStructs puts the structured policies in the order of their ids, those of one id in the order in which they were
// read. The last run, which is the stored policies, is in order as a rule.
func (l *loader) sortStructs() {
	byID := func(a, b *piece) int { return strings.Compare(a.info.ID, b.info.ID) }
	at := len(l.structs)
	for at > 0 && (at == len(l.structs) || byID(l.structs[at-1], l.structs[at]) <= 0) {
		at--
	}
	head, tail := l.structs[:at:at], l.structs[at:]
	if at == 0 {
		return
	}
	slices.SortStableFunc(head, byID)
	out := make([]*piece, 0, len(l.structs))
	for len(head) > 0 && len(tail) > 0 {
		if byID(head[0], tail[0]) <= 0 {
			out, head = append(out, head[0]), head[1:]
		} else {
			out, tail = append(out, tail[0]), tail[1:]
		}
	}
	l.structs = append(append(out, head...), tail...)
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
func active(infos []*PolicyInfo) []pdp.Policy {
	out := make([]pdp.Policy, 0, len(infos))
	for _, p := range infos {
		if p.Enabled {
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
