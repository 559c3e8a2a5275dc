package rules

import (
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// keepResult bounds what a pooled Result holds on to, in bytes.
const keepResult = 1 << 20

const (
	msgExtreme  = "a number in the input is out of range"
	msgDeadline = "the deadline passed"
)

// Match implements pdp.Evaluator.
func (ev *evaluator) Match(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	r.Reset(keepResult)
	if len(ev.policies) == 0 {
		return
	}
	input, ok := ev.inputTerm(in)
	if !ok {
		r.AddFault(pdp.FaultInput, -1, msgExtreme)
		return
	}
	if !ev.ask(ev.merged, nil, input, b, r) {
		ev.again(input, b, r)
		return
	}
	if ev.odd(in) && !ev.ask(ev.dodged, nil, input, b, r) {
		ev.again(input, b, r)
		return
	}
	for i := range ev.alone {
		if !ev.ask(ev.alone[i].body, &ev.alone[i].key, input, b, r) {
			ev.again(input, b, r)
			return
		}
	}
}

// odd says whether the input does what generated rules about odd fields look for.
func (ev *evaluator) odd(in *pdp.Doc) bool {
	return meets(ev.guards, in)
}

func meets(guards []guard, in *pdp.Doc) bool {
	if len(in.Nodes) == 0 {
		return false
	}
	for i := range guards {
		if guards[i].odd(in) {
			return true
		}
	}
	return false
}

// ask evaluates one set and adds what it holds; false where that met a fault. set is nil for the merged sets.
func (ev *evaluator) ask(body ast.Body, set *setKey, input *ast.Term, b *pdp.Budget, r *pdp.Result) bool {
	c := call{budget: b}
	out, err := ev.run(body, input, &c)
	if err != nil || len(c.errs) > 0 {
		ev.faults(err, c.errs, set, r)
		return false
	}
	if b.Stopped() { // a builtin that was the last to run finished late
		r.AddFault(pdp.FaultDeadline, -1, msgDeadline)
		return false
	}
	if out == nil {
		return true
	}
	elements, ok := out.Value.(ast.Set)
	if !ok {
		r.AddFault(pdp.FaultInternal, -1, "an effect set is no set")
		return false
	}
	before := len(r.Faults)
	elements.Foreach(func(t *ast.Term) {
		if set != nil {
			ev.element(*set, t.Value, r)
			return
		}
		switch v := t.Value.(type) {
		case ast.Number:
			row, _ := strconv.Atoi(string(v))
			ev.row(int32(row), r)
		case *ast.Array:
			policy, _ := v.Elem(0).Value.(ast.Number).Int()
			effect, _ := v.Elem(1).Value.(ast.Number).Int()
			ev.element(setKey{int32(policy), pdp.Effect(effect)}, v.Elem(2).Value, r)
		}
	})
	return len(r.Faults) == before
}

// row adds the match of a row, once.
func (ev *evaluator) row(row int32, r *pdp.Result) {
	for i := range r.Matches {
		if r.Matches[i].Rule == row {
			return
		}
	}
	rule := &ev.merge.rows[row]
	r.Matches = append(r.Matches, pdp.Match{Rule: row, Policy: ev.rowOf[row], Effect: rule.Effect, Guardrail: rule.Guardrail, Priority: rule.Priority})
}

// element adds the match of a value that was made at evaluation; one that equals a constant of its set is that row.
func (ev *evaluator) element(set setKey, v ast.Value, r *pdp.Result) {
	if row, ok := ev.merge.elements[set].find(v); ok {
		ev.row(row, r)
		return
	}
	e, wrong := readElement(v)
	if wrong != "" {
		r.AddFault(pdp.FaultShape, set.policy, ev.setName(set)+" holds "+wrong)
		return
	}
	r.Matches = append(r.Matches, pdp.Match{Rule: -1, Policy: set.policy, Effect: set.effect, Guardrail: e.guardrail, Priority: e.priority,
		ID: r.Out.AddText(e.id), Name: r.Out.AddText(e.name), Reason: r.Out.AddText(e.reason)})
}

func (ev *evaluator) setName(set setKey) string {
	return packageOf(ev.policies[set.policy].ID) + "." + set.effect.String()
}

// again asks every set by itself: an evaluation of the merge that met a fault is not the last word, since its index may
// have let in a rule that the rule's own would have excluded, and only now it is known whose fault it is. What the
// budget ended stays ended.
func (ev *evaluator) again(input *ast.Term, b *pdp.Budget, r *pdp.Result) {
	for i := range r.Faults {
		if r.Faults[i].Code == pdp.FaultDeadline {
			return
		}
	}
	r.Reset(keepResult)
	for i := range ev.all {
		if !ev.ask(ev.all[i].body, &ev.all[i].key, input, b, r) && b.Stopped() {
			return
		}
		if len(r.Faults) >= maxFaults {
			return
		}
	}
}
