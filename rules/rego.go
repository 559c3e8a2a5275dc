package rules

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// regoFile is a parsed module.
type regoFile struct {
	name   string // as problems name it
	module *ast.Module
	policy string // the policy it belongs to, empty for a library
	text   []byte
	*parsed
}

// parseRego reads one module; false where problems were added.
func parseRego(name string, text []byte, problems *Problems) (*ast.Module, bool) {
	m, err := ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
	if err != nil {
		regoProblems(name, err, problems)
		return nil, false
	}
	if m == nil {
		problems.add(Problem{File: name, Detail: "no package; a module begins with one"})
		return nil, false
	}
	return m, true
}

// regoProblems adds what OPA found wrong.
func regoProblems(name string, err error, problems *Problems) {
	var list ast.Errors
	if !errors.As(err, &list) {
		var one *ast.Error
		if !errors.As(err, &one) {
			problems.add(Problem{File: name, Detail: err.Error()})
			return
		}
		list = ast.Errors{one}
	}
	for _, e := range list {
		p := Problem{File: name, Detail: e.Code + ": " + e.Message}
		if e.Location != nil {
			p.File, p.Line, p.Column = e.Location.File, e.Location.Row, e.Location.Col
		}
		if e.Details != nil {
			if lines := strings.Join(e.Details.Lines(), " / "); lines != "" && !strings.Contains(lines, generatedRoot) {
				p.Detail += ": " + lines
			}
		}
		problems.add(p)
	}
}

// policyID is the id of the policy that a package is, empty for a package that can be none.
func policyID(pkg *ast.Package) string {
	if len(pkg.Path) < 3 || !isPolicies(pkg.Path[1]) {
		return ""
	}
	steps := make([]string, 0, len(pkg.Path)-2)
	for _, t := range pkg.Path[2:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			return ""
		}
		steps = append(steps, string(s))
	}
	return strings.Join(steps, ".")
}

func isPolicies(t *ast.Term) bool {
	s, ok := t.Value.(ast.String)
	return ok && s == "policies"
}

// effectOf is the effect whose set a rule contributes to, by its name; None for any other rule.
func effectOf(r *ast.Rule) pdp.Effect {
	v, ok := r.Head.Ref()[0].Value.(ast.Var)
	if !ok {
		return pdp.None
	}
	e, _ := pdp.ParseEffect(string(v))
	return e
}

// checkEffects says whether a module at or below policies has effect rules, and adds a problem for each that is no partial set.
func checkEffects(f *regoFile, problems *Problems) bool {
	found := false
	if path := f.module.Package.Path; len(path) < 2 || !isPolicies(path[1]) {
		return false // a library may call its rules what it likes
	}
	for _, r := range f.module.Rules {
		e := effectOf(r)
		if e == pdp.None {
			continue
		}
		found = true
		if r.Default || len(r.Head.Args) > 0 || len(r.Head.Ref()) != 1 || r.Head.Key == nil || r.Head.Value != nil {
			problems.add(Problem{File: f.name, Line: r.Location.Row, Column: r.Location.Col, Policy: policyID(f.module.Package), Field: e.String(),
				Detail: e.String() + " must be a set of rules in a package below policies; write " + e.String() +
					` contains {"rule": "..."} if { ... }`})
		}
	}
	return found
}

// regoPolicy is what a policy in Rego says of itself, gathered from all its modules.
type regoPolicy struct {
	info  PolicyInfo
	files []*regoFile
	from  string // the file that holds its METADATA
}

// gather groups modules into policies. A package below policies without effect rules is a library.
func gather(files []*regoFile, problems *Problems) []*regoPolicy {
	byID := map[string]*regoPolicy{}
	effects := map[string]bool{}
	for _, f := range files {
		has := checkEffects(f, problems)
		id := policyID(f.module.Package)
		if id == "" {
			if has && len(f.module.Package.Path) == 2 {
				loc := f.module.Package.Location
				problems.add(Problem{File: f.name, Line: loc.Row, Column: loc.Col,
					Detail: "a policy needs a name below policies; write package policies.NAME"})
			}
			continue
		}
		effects[id] = effects[id] || has
		p := byID[id]
		if p == nil {
			p = &regoPolicy{info: PolicyInfo{ID: id, Enabled: true, Form: FormRego, Origin: f.name}}
			byID[id] = p
		}
		p.files = append(p.files, f)
		p.metadata(f, problems)
	}
	var out []*regoPolicy
	for _, id := range sortedKeys(byID) {
		if !effects[id] {
			continue
		}
		p := byID[id]
		for _, f := range p.files {
			f.policy = id
			p.info.Texts = append(p.info.Texts, Text{f.name, f.text})
			for _, r := range f.module.Rules {
				if effectOf(r) != pdp.None {
					p.info.Rules++
				}
			}
		}
		out = append(out, p)
	}
	return out
}

var customKeys = []string{"version", "default_effect", "enabled"}

// metadata takes what the package's METADATA says.
func (p *regoPolicy) metadata(f *regoFile, problems *Problems) {
	for _, a := range f.module.Annotations {
		if a.Scope != "package" && a.Scope != "subpackages" {
			continue
		}
		fail := func(field, detail, near string) {
			problems.add(Problem{File: f.name, Line: a.Location.Row, Column: a.Location.Col, Policy: p.info.ID, Field: field,
				Detail: detail, Nearest: near})
		}
		if p.from != "" && p.from != f.name {
			fail("", "the package has METADATA in "+p.from+" too; keep one", "")
			continue
		}
		p.from = f.name
		p.info.Origin = f.name
		p.info.Name, p.info.Description = a.Title, a.Description
		for k, v := range a.Custom {
			switch k {
			case "version":
				s, ok := v.(string)
				if !ok {
					fail("custom.version", "expected a string; put it in quotes", "")
				}
				p.info.Version = s
			case "default_effect":
				s, _ := v.(string)
				e, ok := pdp.ParseEffect(s)
				if !ok {
					fail("custom.default_effect", "expected allow, deny, warn or audit, found "+strconv.Quote(s), nearest(s, effectWords))
				}
				p.info.Default = e
			case "enabled":
				b, ok := v.(bool)
				if !ok {
					fail("custom.enabled", "expected true or false", "")
				}
				p.info.Enabled = b
			default:
				if near := nearest(k, customKeys); near != "" && !slices.Contains(customKeys, k) {
					fail("custom."+k, "unknown key", near)
				}
			}
		}
	}
}
