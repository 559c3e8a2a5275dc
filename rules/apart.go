package rules

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A structured policy looks at the input alone. So it can be compiled by itself, unless something else looks at it, adds
// to it or is in its way: then it is compiled together with the Rego modules, by OPA. Where that is not certain, too.

// reach is the places below data that modules name, as a tree. What a reference names is all that lies below it, and
// what it is a part of; a package merely lies somewhere.
type reach struct {
	all  bool
	kids map[string]*reach
}

func (t *reach) add(path []string, all bool) {
	for _, k := range path {
		if t.all {
			return
		}
		kid := t.kids[k]
		if kid == nil {
			kid = &reach{}
			if t.kids == nil {
				t.kids = map[string]*reach{}
			}
			t.kids[k] = kid
		}
		t = kid
	}
	t.all = t.all || all
}

// touches says whether something that was added lies at or below path, or is a reference to something above it.
func (t *reach) touches(path []string) bool {
	for _, k := range path {
		if t.all {
			return true
		}
		if t = t.kids[k]; t == nil {
			return false
		}
	}
	return true
}

// dataRefs are the references of a module into data, and imports of it.
func dataRefs(m *ast.Module) (refs []ast.Ref) {
	var look func(x any)
	look = func(x any) {
		ast.WalkTerms(x, func(t *ast.Term) bool {
			ref, ok := t.Value.(ast.Ref)
			switch {
			case t.Equal(ast.DefaultRootDocument): // the whole of it, by its bare name
				refs = append(refs, ast.Ref{t})
			case ok && len(ref) > 0 && ref[0].Equal(ast.DefaultRootDocument):
				refs = append(refs, ref.GroundPrefix())
				for _, s := range ref[1:] {
					look(s)
				}
				return true
			}
			return false
		})
	}
	for _, i := range m.Imports {
		look(i.Path)
	}
	for _, r := range m.Rules {
		look(r)
	}
	return refs
}

// stepsOf are the steps of a reference behind data, up to one that is no string.
func stepsOf(ref ast.Ref) (path []string) {
	for _, t := range ref[1:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		path = append(path, string(s))
	}
	return path
}

// reachOf is where all modules reach. It is made once for the same modules.
func (l *loader) reachOf() *reach {
	c := l.cache
	mods := make([]*parsed, len(l.modules))
	for i, f := range l.modules {
		mods[i] = f.parsed
	}
	if c.reach != nil && slices.Equal(mods, c.reachOf) {
		return c.reach
	}
	t := &reach{}
	for _, p := range mods {
		pkg := p.module.Package.Path
		t.add(stepsOf(pkg), false)
		for _, ref := range p.refs {
			t.add(stepsOf(ref), true)
		}
		for _, r := range p.module.Rules {
			ref := slices.Clone(pkg)
			for i, s := range r.Head.Ref() {
				if v, ok := s.Value.(ast.Var); ok && i == 0 {
					s = ast.StringTerm(string(v))
				}
				ref = append(ref, s)
			}
			t.add(stepsOf(ref), true)
		}
	}
	c.reach, c.reachOf = t, mods
	return t
}

// packagePath is where a policy lies below data.
func packagePath(id string) []string { return append([]string{"policies"}, strings.Split(id, ".")...) }

// part divides the enabled structured policies, which are sorted by id, into those that are compiled by themselves, and
// are now, and those that are compiled with the modules.
func (l *loader) part(o *Options) (apart, joined []*piece) {
	all := l.enabled()
	if o.Engine == EngineTopdown {
		return nil, all
	}
	modules := l.reachOf()
	entry := &reach{}
	if o.Entrypoint != "" {
		entry.add(splitEntrypoint(o.Entrypoint), true)
	}
	crossed := l.crossed(all)
	apart = make([]*piece, 0, len(all))
	for _, p := range all {
		path := p.path
		if crossed[p] || modules.touches(path) || o.Entrypoint != "" && entry.touches(path) || l.data.touches(path) || !p.compile(l.cache.tables) {
			p.rules = nil
			joined = append(joined, p)
		} else {
			apart = append(apart, p)
		}
	}
	return apart, joined
}

// enabled are the structured policies that are on, by id.
func (l *loader) enabled() (out []*piece) {
	out = make([]*piece, 0, len(l.structs))
	for _, p := range l.structs {
		if p.info.Enabled {
			out = append(out, p)
		}
	}
	return out
}

// crossed are the policies one of which lies at the place of a rule of another, such as a and a.deny.
func (l *loader) crossed(all []*piece) map[*piece]bool {
	var out map[*piece]bool
	for _, p := range all {
		id := p.info.ID
		for i := strings.IndexByte(id, '.'); i >= 0; {
			above, found := slices.BinarySearchFunc(all, id[:i], func(q *piece, id string) int { return strings.Compare(q.info.ID, id) })
			if found {
				if out == nil {
					out = map[*piece]bool{}
				}
				if rule, _, _ := strings.Cut(id[i+1:], "."); generatedName(rule) {
					out[all[above]], out[p] = true, true
				}
			}
			j := strings.IndexByte(id[i+1:], '.')
			if j < 0 {
				break
			}
			i += 1 + j
		}
	}
	return out
}

// generatedName says whether a generated module may have a rule of that name.
func generatedName(s string) bool {
	return slices.Contains(effectWords, s) || s == "dodged" || strings.HasPrefix(s, "odd") || strings.HasPrefix(s, "holds")
}

// touches says whether there is data at path, or a value above it that is no object.
func (t *dataTree) touches(path []string) bool {
	for _, k := range path {
		if t.leaf != nil {
			return true
		}
		if t = t.kids[k]; t == nil {
			return false
		}
	}
	return true
}
