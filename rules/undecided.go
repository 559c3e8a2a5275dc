package rules

import (
	"context"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// verdicts is what an entrypoint's value may be.
const verdicts = "expected a boolean, an effect, or an object with allowed or effect: every call is denied"

// Undecided says why what lies at a path below data can be no decision, whatever the input, as far as that can be seen
// without asking; empty where it may be one. That nothing lies there is Defines' to say.
func (s *Set) Undecided(path string) string {
	steps := splitEntrypoint(path)
	if d, ok := s.Snapshot.Eval.(*dual); ok {
		if p, below := d.find(steps); p != nil || below && len(steps) > 0 {
			return path + " holds sets of rules; " + verdicts
		}
	}
	if why := s.world.ev.undecided(steps); why != "" {
		return path + " " + why + "; " + verdicts
	}
	return ""
}

// Libraries are the packages outside policies that have a rule of an effect's name: what somebody who comes from OPA may
// take for policies.
func (s *Set) Libraries() (packages []string) {
	seen := map[string]bool{}
	for _, name := range sortedKeys(s.world.ev.compiler.Modules) {
		m := s.world.ev.compiler.Modules[name]
		if name == generatedRoot || len(m.Package.Path) > 1 && isPolicies(m.Package.Path[1]) {
			continue
		}
		for _, r := range m.Rules {
			pkg := strings.TrimPrefix(m.Package.Path.String(), "data.")
			if effectOf(r) != pdp.None && !seen[pkg] {
				seen[pkg] = true
				packages = append(packages, pkg)
			}
		}
	}
	return packages
}

func (ev *evaluator) undecided(path []string) string {
	at := ev.ruleTree(path)
	switch {
	case at == nil:
		v, err := ev.store.Read(context.Background(), fixedTxn{}, path)
		if err != nil {
			return ""
		}
		return undecidedValue(v.(ast.Value))
	case len(at.Values) == 0:
		if at.Child(ast.String("allowed")) != nil || at.Child(ast.String("effect")) != nil || at.Size() == 0 {
			return ""
		}
		return "is a package without a rule allowed or effect"
	}
	why := ""
	for _, r := range at.Values {
		if why = undecidedRule(r); why == "" {
			return ""
		}
	}
	return why
}

// ruleTree is what rules there are at and below a path; nil where there are none.
func (ev *evaluator) ruleTree(path []string) *ast.TreeNode {
	at := ev.compiler.RuleTree.Child(ast.Var("data"))
	for _, step := range path {
		if at == nil {
			return nil
		}
		at = at.Child(ast.String(step))
	}
	return at
}

func undecidedRule(r *ast.Rule) string {
	switch {
	case len(r.Head.Args) > 0:
		return "is a function, which has no value by itself"
	case r.Head.Key != nil && r.Head.Value == nil:
		return "is a set"
	case r.Head.Value == nil || !ast.IsConstant(r.Head.Value.Value):
		return ""
	}
	why := undecidedValue(r.Head.Value.Value)
	if why != "" && r.Else != nil {
		return undecidedRule(r.Else)
	}
	return why
}

// undecidedValue says of a value that is known why it is no decision.
func undecidedValue(v ast.Value) string {
	switch v := v.(type) {
	case ast.Boolean:
		return ""
	case ast.String:
		if _, ok := pdp.ParseEffect(string(v)); ok {
			return ""
		}
		return "is the text " + quote(string(v))
	case ast.Object:
		if v.Get(ast.StringTerm("allowed")) != nil || v.Get(ast.StringTerm("effect")) != nil {
			return ""
		}
		return "is an object without allowed or effect"
	}
	return "is of type " + ast.ValueName(v)
}
