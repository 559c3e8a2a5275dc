package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"thymus/pdp"
	"thymus/rules"
)

// explanation says why a decision is what it is.
type explanation struct {
	DecidedBy string          `json:"decided_by"` // rule, default, entrypoint, error or nothing
	Why       string          `json:"why"`
	Matched   []explainedRule `json:"matched"`
	Unmatched []explainedRule `json:"unmatched"`
	Disabled  []string        `json:"disabled_policies"`
}

// explainedRule is one rule with what became of it.
type explainedRule struct {
	Policy     string               `json:"policy,omitempty"`
	Rule       string               `json:"rule,omitempty"`
	Effect     string               `json:"effect,omitempty"`
	Priority   int64                `json:"priority"`
	Guardrail  bool                 `json:"guardrail,omitempty"`
	Decides    bool                 `json:"decides"`
	Why        string               `json:"why"`
	File       string               `json:"file,omitempty"`
	Line       int                  `json:"line,omitempty"`
	Conditions []explainedCondition `json:"conditions,omitempty"`

	result string // as the table has it
	missed int    // conditions that do not hold
}

// explainedCondition is one condition of the structured form.
type explainedCondition struct {
	Field    string          `json:"field"`
	Operator string          `json:"operator"`
	Value    json.RawMessage `json:"value"`
	Found    json.RawMessage `json:"found,omitempty"` // absent: the input has no such field
	Holds    bool            `json:"holds"`
	Odd      bool            `json:"wrong_type,omitempty"` // and so it counts as holding in a deny rule
}

// explain asks again, for what led to a decision.
func explain(ctx context.Context, set *rules.Set, in *pdp.Doc, d *pdp.Decision) (*explanation, error) {
	snap := set.Snapshot
	x := &explanation{Matched: []explainedRule{}, Unmatched: []explainedRule{}, Disabled: []string{}}
	for _, p := range set.Policies {
		if !p.Enabled {
			x.Disabled = append(x.Disabled, p.ID)
		}
	}
	if snap.Entrypoint != nil {
		x.DecidedBy, x.Why = "entrypoint", "policies.entrypoint "+snap.EntryPath+" replaces the combination of rules"
		for _, c := range set.ConsiderEntrypoint(snap.EntryPath, in) {
			x.add(&c)
		}
		return x, nil
	}
	var r pdp.Result
	snap.Eval.Match(in, nil, &r)
	considered, err := set.Consider(ctx, in)
	if err != nil {
		return nil, err
	}
	x.matches(snap, &r, d)
	for i := range considered {
		if c := &considered[i]; !c.Matched {
			x.add(c)
		} else if m := x.match(c); m != nil {
			m.File, m.Line, m.Conditions = c.File, c.Line, conditions(c)
			if odd := oddFields(c); odd != "" {
				m.Why = strings.TrimPrefix(m.Why+"; "+odd, "; ")
			}
		}
	}
	x.why(snap, &r, d)
	return x, nil
}

// matches are the rules that match, in the order in which they decide.
func (x *explanation) matches(snap *pdp.Snapshot, r *pdp.Result, d *pdp.Decision) {
	for i := range r.Matches {
		m := &r.Matches[i]
		e := explainedRule{Policy: snap.Policies[m.Policy].ID, Rule: r.Out.Str(m.ID), Effect: m.Effect.String(), Priority: m.Priority,
			Guardrail: m.Guardrail && m.Effect == pdp.Deny}
		if m.Rule >= 0 {
			e.Rule = snap.Rules[m.Rule].ID
		}
		x.Matched = append(x.Matched, e)
	}
	rank := func(s string) pdp.Effect { e, _ := pdp.ParseEffect(s); return e }
	slices.SortStableFunc(x.Matched, func(a, b explainedRule) int {
		if a.Guardrail != b.Guardrail {
			if a.Guardrail {
				return -1
			}
			return 1
		}
		if a.Guardrail {
			return cmp.Or(strings.Compare(a.Policy, b.Policy), strings.Compare(a.Rule, b.Rule))
		}
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(rank(b.Effect), rank(a.Effect)), strings.Compare(a.Policy, b.Policy), strings.Compare(a.Rule, b.Rule))
	})
	if !d.Matched {
		for i := range x.Matched {
			x.Matched[i].result, x.Matched[i].Why = "matches", "the evaluation failed, and no rule decides"
		}
		return
	}
	for i := range x.Matched {
		e, first := &x.Matched[i], &x.Matched[0]
		if e.Decides = i == 0; e.Decides {
			e.result = "decides"
			continue
		}
		e.result, e.Why = "outranked", outrankedBy(e, first)
		switch e.Effect {
		case "warn":
			e.Why += "; its warning stands"
		case "audit":
			e.Why += "; its audit stands"
		}
	}
}

// outrankedBy says why a rule that matches does not decide.
func outrankedBy(e, first *explainedRule) string {
	switch {
	case first.Guardrail && !e.Guardrail:
		return "a guardrail decides whatever the priorities"
	case !first.Guardrail && e.Priority != first.Priority:
		return fmt.Sprintf("priority %d is less than %d", e.Priority, first.Priority)
	case e.Effect != first.Effect:
		return "of the same priority, and " + first.Effect + " is stricter"
	}
	return "of the same rank, and " + first.name() + " comes first by name"
}

func (e *explainedRule) name() string {
	switch {
	case e.Rule == "":
		return strings.TrimPrefix(e.Policy+"/?", "/")
	case e.Policy == "":
		return e.Rule
	}
	return e.Policy + "/" + e.Rule
}

// match is a rule among those that match.
func (x *explanation) match(c *rules.Considered) *explainedRule {
	for i := range x.Matched {
		if m := &x.Matched[i]; m.Policy == c.Policy && m.Rule == c.Rule && m.Effect == c.Effect.String() && m.File == "" {
			return m
		}
	}
	return nil
}

// add adds a rule that does not decide by matching.
func (x *explanation) add(c *rules.Considered) {
	e := explainedRule{Policy: c.Policy, Rule: c.Rule, Effect: c.Effect.String(), Priority: c.Priority, Guardrail: c.Guardrail,
		File: c.File, Line: c.Line, Conditions: conditions(c), result: "no match"}
	var why []string
	for i := range c.Conditions {
		if k := &c.Conditions[i]; !k.Holds && !k.Odd {
			why = append(why, missed(k))
		}
	}
	e.missed = len(why)
	switch {
	case c.Off:
		e.result, e.Why, e.missed = "off", "the rule is switched off", math.MaxInt // last
	case c.Matched:
		e.result = "holds"
		x.Matched = append(x.Matched, e)
		return
	case c.Failed != "":
		e.Why, e.missed = fmt.Sprintf("%s:%d: %s", c.File, c.FailedLine, c.Failed), 1
	default:
		e.Why = strings.Join(why, "; ")
	}
	x.Unmatched = append(x.Unmatched, e)
}

func missed(k *rules.ConsideredByForm) string {
	is := "is missing"
	if k.Found != "" {
		is = "is " + k.Found
	}
	return fmt.Sprintf("%s %s %s: it %s", k.Field, k.Operator, k.Value, is)
}

// oddFields says which fields of a deny rule count because of their type.
func oddFields(c *rules.Considered) string {
	var out []string
	for i := range c.Conditions {
		if k := &c.Conditions[i]; k.Odd {
			out = append(out, fmt.Sprintf("%s is %s, which %s cannot compare: that counts against a deny", k.Field, cmp.Or(k.Found, "blocked by a value above it"), k.Operator))
		}
	}
	return strings.Join(out, "; ")
}

func conditions(c *rules.Considered) (out []explainedCondition) {
	for i := range c.Conditions {
		k := &c.Conditions[i]
		out = append(out, explainedCondition{k.Field, k.Operator, json.RawMessage(k.Value), json.RawMessage(k.Found), k.Holds, k.Odd})
	}
	return out
}

// why says what decided.
func (x *explanation) why(snap *pdp.Snapshot, r *pdp.Result, d *pdp.Decision) {
	switch {
	case d.Fault != pdp.NoFault:
		x.DecidedBy, x.Why = "error", "an evaluation error denies, whatever else matches"
	case len(snap.Policies) == 0:
		x.DecidedBy, x.Why = "nothing", "no policy is enabled: deny"
	case !d.Matched:
		x.DecidedBy, x.Why = "default", "no rule matches, and no policy names a default_effect: deny"
		for i := range snap.Policies {
			if p := &snap.Policies[i]; p.Default == snap.Default && p.Default != pdp.None {
				x.Why = fmt.Sprintf("no rule matches: default_effect %s of policy %s is the strictest", p.Default, p.ID)
				break
			}
		}
	default:
		first := &x.Matched[0]
		x.DecidedBy, x.Why = "rule", first.name()+" is the only rule that matches"
		if len(x.Matched) > 1 {
			x.Why = first.name() + " ranks first of the rules that match"
		}
		if first.Guardrail {
			x.Why = first.name() + " is a guardrail, which decides whatever the priorities"
		}
	}
}

// maxExplained bounds the rules that do not match in the table; those that miss the least come first.
const maxExplained = 50

func (x *explanation) print(std Stdio) error {
	fmt.Fprintf(std.Out, "\n%s\n", line(x.Why))
	rows := slices.Clone(x.Unmatched)
	slices.SortStableFunc(rows, func(a, b explainedRule) int { return cmp.Compare(a.missed, b.missed) })
	more := len(rows) - maxExplained
	rows = append(slices.Clone(x.Matched), rows[:min(len(rows), maxExplained)]...)
	if len(rows) > 0 {
		w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "RESULT\tEFFECT\tPRIORITY\tRULE\tWHY")
		for i := range rows {
			e := &rows[i]
			priority := fmt.Sprint(e.Priority)
			switch {
			case e.Guardrail:
				priority = "guardrail"
			case e.Rule == "" || e.Effect == "": // only an evaluation says it, or there is none
				priority = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.result, cmp.Or(e.Effect, "-"), priority, line(e.name()), line(e.Why))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if more > 0 {
		fmt.Fprintf(std.Out, "and %s more that do not match; -o json lists all\n", count(more, "rule"))
	}
	if len(x.Disabled) > 0 {
		fmt.Fprintf(std.Out, "disabled policies: %s\n", line(strings.Join(x.Disabled, ", ")))
	}
	return nil
}
