package rules

import (
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
// goroutines at once; ctx stops it between files.
func Load(ctx context.Context, o Options) (*Set, error) {
	l := loader{}
	if err := l.read(ctx, &o); err != nil {
		return nil, err
	}
	set := l.compile(&o)
	if err := l.problems.orNil(); err != nil {
		return nil, err
	}
	set.Snapshot.Revision = l.revision(&o)
	set.useNative(&o)
	set.warm()
	return set, nil
}

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

	modules  []*regoFile
	structs  []*loadedStructured
	data     dataTree
	digests  []string
	forced   map[string]bool   // Rego policies that their Source disables
	fixed    map[string]string // ids that a Source claims, to its origin
	policies []PolicyInfo      // once settled
}

type loadedStructured struct {
	*structured
	origin string
	text   []byte
	gen    *generated
}

func (l *loader) file(f *file) {
	switch {
	case f.test && !l.tests:
	case f.ext == ".rego":
		l.digest("rego", f.text)
		l.rego(f.name, f.text)
	default:
		l.document(f)
	}
}

func (l *loader) rego(name string, text []byte) *regoFile {
	m, ok := parseRego(name, text, &l.problems)
	if !ok {
		return nil
	}
	f := &regoFile{name: name, module: m, text: text}
	l.modules = append(l.modules, f)
	return f
}

// document takes a JSON or YAML file: a structured policy, or data.
func (l *loader) document(f *file) {
	doc, ok := l.parse(f.name, f.ext == ".json", f.text)
	if !ok || doc == nil {
		return
	}
	if doc.kind == pdp.Object && doc.get("policy_id") != nil {
		l.digest("policy", f.text)
		l.structured(f.name, f.text, doc, false)
		return
	}
	l.digest("data "+strings.Join(f.dir, "/"), f.text)
	l.data.add(f.name, f.dir, doc, &l.problems)
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

func (l *loader) structured(origin string, text []byte, doc *node, disabled bool) {
	p, ok := readStructured(origin, doc, &l.problems)
	if !ok {
		return
	}
	if disabled {
		p.enabled = false
	}
	l.structs = append(l.structs, &loadedStructured{structured: p, origin: origin, text: text})
}

func (l *loader) builtins() {
	entries, _ := builtinFiles.ReadDir("builtin") // embedded: cannot fail
	for _, e := range entries {
		text, _ := builtinFiles.ReadFile("builtin/" + e.Name())
		l.digest("builtin", text)
		name := "builtin:" + e.Name()
		if strings.HasSuffix(e.Name(), ".rego") {
			l.rego(name, text)
		} else if doc, ok := l.parse(name, true, text); ok {
			l.structured(name, text, doc, false)
		}
	}
}

// source takes a policy that lies in no file.
func (l *loader) source(s *Source) {
	kind := "source"
	if s.Disabled {
		kind = "disabled source"
	}
	l.digest(kind, s.Text)
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
	text := strings.TrimLeft(string(s.Text), " \t\r\n")
	doc, ok := l.parse(origin, strings.HasPrefix(text, "{"), s.Text)
	if !ok {
		return
	}
	if doc == nil || doc.kind != pdp.Object {
		l.problems.add(Problem{File: origin, Policy: s.ID, Detail: "expected a policy, an object"})
		return
	}
	before := len(l.structs)
	l.structured(origin, s.Text, doc, s.Disabled)
	if len(l.structs) > before && l.structs[before].id != s.ID {
		wrongID(l.structs[before].id)
	}
}

// settle finds out which policies there are, whether two sources define one, and generates Rego for the structured.
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
	slices.SortStableFunc(l.structs, func(a, b *loadedStructured) int { return strings.Compare(a.id, b.id) })
	for _, s := range l.structs {
		if !claim(s.id, s.origin) {
			continue
		}
		info := PolicyInfo{ID: s.id, Name: s.name, Version: s.version, Description: s.description, Enabled: s.enabled,
			Default: s.def, Form: FormStructured, Origin: s.origin, Texts: []Text{{s.origin, s.text}}}
		for i := range s.rules {
			if s.rules[i].enabled {
				info.Rules++
			}
		}
		if info.Enabled {
			s.gen = generate(s.structured, false)
		}
		l.policies = append(l.policies, info)
	}
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
