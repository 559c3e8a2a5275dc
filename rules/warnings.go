package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

var elementKeys = []string{"rule", "name", "priority", "reason", "guardrail"}

// ranked is a rule whose rank is known at load, with its place.
type ranked struct {
	id        string
	priority  int64
	guardrail bool
	policy    string
	effect    pdp.Effect
	file      string
	line      int
}

// rankedRules are the rules of what is compiled together whose rank is known, and what is wrong with some of them: those
// that fault whenever they match, and members that rules do not have.
func rankedRules(a *assembled) (rules []ranked, out Problems) {
	seen := map[string]bool{}
	effectRules(a.files, func(f *regoFile, r *ast.Rule, e pdp.Effect) {
		v := r.Head.Key.Value
		if !ast.IsConstant(v) {
			return
		}
		line := r.Location.Row
		if m := a.lines[f.name]; line <= len(m) && m != nil {
			line = m[line-1]
		}
		el, wrong := readElement(v)
		if wrong != "" {
			out.add(Problem{File: f.name, Line: line, Policy: f.policy, Field: e.String(),
				Detail: "contains " + wrong + ": whenever it matches, the evaluation fails and denies"})
			return
		}
		if o, ok := v.(ast.Object); ok {
			out = append(out, misspelt(o, Problem{File: f.name, Line: line, Policy: f.policy, Rule: el.id})...)
		}
		if key := fmt.Sprint(f.policy, e, el); !seen[key] {
			seen[key] = true
			rules = append(rules, ranked{el.id, el.priority, el.guardrail, f.policy, e, f.name, line})
		}
	})
	return rules, out
}

// ranked are the piece's rules.
func (p *piece) ranked(out []ranked) []ranked {
	for i := range p.rows {
		r := &p.rows[i]
		out = append(out, ranked{r.ID, r.Priority, r.Guardrail, r.Policy, r.Effect, p.origin, p.lines[i]})
	}
	return out
}

// warnings lists what loads but cannot be meant: what is known of the world, warn and audit rules that outrank a deny,
// and defaults that another policy's stricter one makes void.
func (w *world) warnings(apart []*piece, infos []*PolicyInfo) Problems {
	rules := slices.Clone(w.ranked)
	for _, p := range apart {
		rules = p.ranked(rules)
	}
	out := append(slices.Clone(w.warned), outranking(rules)...)
	strictest := pdp.None
	for i := range infos {
		if infos[i].Enabled {
			strictest = max(strictest, infos[i].Default)
		}
	}
	for i := range infos {
		if p := infos[i]; p.Enabled && p.Default != pdp.None && p.Default < strictest {
			out.add(Problem{File: p.Origin, Policy: p.ID, Field: "default_effect",
				Detail: p.Default.String() + " never applies: another policy's default is " + strictest.String() + ", and the strictest counts"})
		}
	}
	return out
}

func misspelt(o ast.Object, at Problem) (out Problems) {
	o.Foreach(func(k, _ *ast.Term) {
		key, ok := k.Value.(ast.String)
		if !ok || slices.Contains(elementKeys, string(key)) {
			return
		}
		if at.Nearest = nearest(string(key), elementKeys); at.Nearest != "" {
			at.Field, at.Detail = string(key), "is no member that rules have"
			out.add(at)
		}
	})
	return out
}

// outranking finds the warn and audit rules that would decide over a deny that matches with them, one warning a rule.
func outranking(rules []ranked) (out Problems) {
	denies := slices.DeleteFunc(slices.Clone(rules), func(r ranked) bool { return r.effect != pdp.Deny || r.guardrail })
	slices.SortFunc(denies, func(a, b ranked) int { return cmp.Compare(a.priority, b.priority) })
	first := make([]int, len(denies)) // of those up to here, the first by name
	for i := range denies {
		first[i] = i
		if i > 0 && compareNames(&denies[first[i-1]], &denies[i]) <= 0 {
			first[i] = first[i-1]
		}
	}
	for i := range rules {
		r := &rules[i]
		if r.effect != pdp.Warn && r.effect != pdp.Audit {
			continue
		}
		n, _ := slices.BinarySearchFunc(denies, r.priority, func(d ranked, p int64) int { return cmp.Compare(d.priority, p) })
		if n == 0 {
			continue
		}
		more := ""
		if n > 1 {
			more = fmt.Sprintf(" and %d more", n-1)
		}
		d := &denies[first[n-1]]
		out.add(Problem{File: r.file, Line: r.line, Policy: r.policy, Rule: r.id, Field: "priority",
			Detail: fmt.Sprintf("%d outranks deny rule %s of policy %s (%d)%s: where both match, the action is permitted; make the deny a guardrail or raise its priority",
				r.priority, d.id, d.policy, d.priority, more)})
	}
	return out
}

func compareNames(a, b *ranked) int {
	return cmp.Or(strings.Compare(a.policy, b.policy), strings.Compare(a.id, b.id))
}
