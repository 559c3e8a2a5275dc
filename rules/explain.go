package rules

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"thymus/pdp"
)

// Considered is a rule that was asked about an input, and what stood in its way where it does not match. It explains what
// an evaluation found; nothing is decided by it.
type Considered struct {
	Policy     string
	Rule       string // its id; empty where only an evaluation that matches makes one
	Effect     pdp.Effect
	Priority   int64 // of rules whose id is known
	Guardrail  bool
	File       string
	Line       int
	Off        bool               // it is switched off
	Conditions []ConsideredByForm // of a rule of the structured form, all of them
	Failed     string             // of a rule in Rego that does not match: the line of its body that is not true
	FailedLine int
	Matched    bool
}

// ConsideredByForm is a condition of the structured form, asked about an input.
type ConsideredByForm struct {
	Field    string
	Operator string
	Value    string // as JSON
	Found    string // the field's value as JSON; empty where it is missing
	Holds    bool
	Odd      bool // it does not hold, and counts in a deny rule: the field is of a type that the operator cannot compare
}

// Consider asks all rules of enabled policies about an input, each by itself: for a person who wants to know why, not for
// a request. Rules of one policy follow each other.
func (s *Set) Consider(ctx context.Context, in *pdp.Doc) ([]Considered, error) {
	out, err := s.considerStructured(ctx, in)
	if err != nil {
		return nil, err
	}
	out = append(out, s.considerRego(in)...)
	slices.SortStableFunc(out, func(a, b Considered) int { return strings.Compare(a.Policy, b.Policy) })
	return out, nil
}

// asked are conditions that are asked by themselves, each once: as the condition of a rule of a policy made for it.
type asked struct {
	ids   map[string]int
	rules []byte
}

// id is the rule that asks a condition.
func (a *asked) id(c *condition, e pdp.Effect) string {
	text := `,"effect":"` + e.String() + `","conditions":[{"field":` + quote(strings.Join(c.path, ".")) + `,"operator":` + quote(c.op) +
		`,"value":` + string(c.value.appendJSON(nil)) + `}]}`
	n, ok := a.ids[text]
	if !ok {
		n = len(a.ids)
		a.ids[text] = n
		if n > 0 {
			a.rules = append(a.rules, ',')
		}
		a.rules = append(append(append(a.rules, `{"rule_id":"`...), strconv.Itoa(n)...), `"`+text...)
	}
	return strconv.Itoa(n)
}

// holding are the ids of what holds.
func (a *asked) holding(ctx context.Context, in *pdp.Doc) (map[string]bool, error) {
	text := append(append([]byte(`{"policy_id":"asked","rules":[`), a.rules...), ']', '}')
	set, err := Load(ctx, Options{Extra: []Source{{ID: "asked", Form: FormStructured, Text: text}}})
	if err != nil {
		return nil, err
	}
	var r pdp.Result
	set.Snapshot.Eval.Match(in, nil, &r)
	out := map[string]bool{}
	for i := range r.Matches {
		out[set.Snapshot.Rules[r.Matches[i].Rule].ID] = true
	}
	return out, nil
}

func (s *Set) considerStructured(ctx context.Context, in *pdp.Doc) (out []Considered, err error) {
	a := &asked{ids: map[string]int{}}
	var plain, odd []string // ids, one a condition
	for _, p := range s.structs {
		if !p.info.Enabled {
			continue
		}
		doc := p.structured()
		if doc == nil {
			continue
		}
		for i := range doc.rules {
			r := &doc.rules[i]
			c := Considered{Policy: doc.id, Rule: r.id, Effect: r.effect, Priority: r.priority, Guardrail: r.guardrail, File: p.origin, Line: r.line, Off: !r.enabled}
			for j := range r.conditions {
				x, typed := &r.conditions[j], pdp.Allow
				if r.effect == pdp.Deny {
					typed = pdp.Deny
				}
				c.Conditions = append(c.Conditions, ConsideredByForm{Field: x.field, Operator: x.op, Value: string(x.value.appendJSON(nil)), Found: found(in, x.path)})
				plain, odd = append(plain, a.id(x, pdp.Allow)), append(odd, a.id(x, typed))
			}
			out = append(out, c)
		}
	}
	holds, err := a.holding(ctx, in)
	if err != nil {
		return nil, err
	}
	n := 0
	for i := range out {
		c := &out[i]
		c.Matched = !c.Off
		for j := range c.Conditions {
			x := &c.Conditions[j]
			x.Holds = holds[plain[n]]
			x.Odd = c.Effect == pdp.Deny && !x.Holds && holds[odd[n]]
			c.Matched = c.Matched && (x.Holds || x.Odd)
			n++
		}
	}
	return out, nil
}

// found is what lies at a path of the input, as JSON.
func found(in *pdp.Doc, path []string) string {
	if i := in.Path(path...); i >= 0 {
		return string(in.AppendJSON(nil, i))
	}
	return ""
}

// considerRego traces the effect sets of policies in Rego, each by itself and without OPA's index, which would leave out
// what there is to explain.
func (s *Set) considerRego(in *pdp.Doc) (out []Considered) {
	ev := s.world.ev
	input, ok := ev.inputTerm(in)
	if !ok {
		return nil
	}
	for i := range ev.all {
		t := &trace{body: map[uint64]*ast.Rule{}, rules: map[*ast.Rule]*Considered{}, effect: ev.all[i].key.effect}
		policy := ev.policies[ev.all[i].key.policy].ID
		for _, name := range sortedKeys(ev.compiler.Modules) {
			m := ev.compiler.Modules[name]
			if ev.lines[name] != nil || name == generatedRoot || policyID(m.Package) != policy {
				continue // structured, or another's
			}
			for _, r := range m.Rules {
				if effectOf(r) == t.effect {
					t.add(policy, r)
				}
			}
		}
		out = append(out, s.follow(t, ev.all[i].body, input)...)
	}
	return out
}

// ConsiderEntrypoint asks the rules at a path below data about an input.
func (s *Set) ConsiderEntrypoint(path string, in *pdp.Doc) []Considered {
	ev, steps := s.world.ev, splitEntrypoint(path)
	input, ok := ev.inputTerm(in)
	node := ev.ruleTree(steps)
	if !ok || node == nil {
		return nil
	}
	t := &trace{body: map[uint64]*ast.Rule{}, rules: map[*ast.Rule]*Considered{}}
	for _, r := range node.Values {
		t.order, t.rules[r] = append(t.order, r), &Considered{Rule: strings.Join(steps, "/"), File: r.Location.File, Line: r.Location.Row}
	}
	return s.follow(t, makeQuery(steps).body, input)
}

// follow evaluates what t traces, and gives what became of its rules.
func (s *Set) follow(t *trace, body ast.Body, input *ast.Term) (out []Considered) {
	if len(t.order) == 0 {
		return nil
	}
	s.world.ev.traced(body, input, t)
	for _, r := range t.order {
		c := t.rules[r]
		if c.FailedLine > 0 && !c.Matched {
			c.Failed = s.sourceLine(c.File, c.FailedLine)
		}
		out = append(out, *c)
	}
	return out
}

// sourceLine is a line of a module.
func (s *Set) sourceLine(file string, line int) string {
	for l := range strings.Lines(s.world.source(file)) {
		if line--; line == 0 {
			return strings.TrimSpace(l)
		}
	}
	return ""
}

// trace follows the rules of one effect set through an evaluation. It implements topdown.QueryTracer.
type trace struct {
	effect pdp.Effect
	order  []*ast.Rule
	rules  map[*ast.Rule]*Considered
	body   map[uint64]*ast.Rule // by the query that evaluates it
}

func (t *trace) add(policy string, r *ast.Rule) {
	c := &Considered{Policy: policy, Effect: t.effect, File: r.Location.File, Line: r.Location.Row}
	if ast.IsConstant(r.Head.Key.Value) {
		if e, wrong := readElement(r.Head.Key.Value); wrong == "" {
			c.Rule, c.Priority, c.Guardrail = e.id, e.priority, e.guardrail
		}
	}
	t.order, t.rules[r] = append(t.order, r), c
}

// Enabled implements topdown.QueryTracer.
func (t *trace) Enabled() bool { return true }

// Config implements topdown.QueryTracer.
func (t *trace) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent implements topdown.QueryTracer. Of several expressions that fail, with several values of a variable say, the
// one counts that stands last: the evaluation came that far.
func (t *trace) TraceEvent(e topdown.Event) {
	switch e.Op {
	case topdown.EnterOp:
		if r, ok := e.Node.(*ast.Rule); ok && t.rules[r] != nil {
			t.body[e.QueryID] = r
		}
	case topdown.ExitOp:
		if r, ok := e.Node.(*ast.Rule); ok && t.rules[r] != nil {
			t.rules[r].Matched = true
		}
	case topdown.FailOp:
		x, ok := e.Node.(*ast.Expr)
		if r := t.body[e.QueryID]; ok && r != nil && x.Location != nil {
			c := t.rules[r]
			c.FailedLine = max(c.FailedLine, x.Location.Row)
		}
	}
}

// traced evaluates a query under a tracer. Errors are told by the evaluation that decides.
func (ev *evaluator) traced(body ast.Body, input *ast.Term, t *trace) {
	defer func() { _ = recover() != nil }()
	ctx, done := withBudget(nil)
	defer done()
	q := topdown.NewQuery(body).WithCompiler(ev.compiler).WithStore(ev.store).WithTransaction(fixedTxn{}).WithInput(input).
		WithInterQueryBuiltinValueCache(ev.values).WithMetrics(ev.metrics).WithIndexing(false).WithQueryTracer(t).
		WithBuiltinErrorList(&[]topdown.Error{})
	_ = q.Iter(ctx, func(topdown.QueryResult) error { return nil })
}
