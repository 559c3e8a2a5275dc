package pdp

import "strings"

// Combine turns what an evaluation found into the decision, by CONTRACT 2: a fault denies; else a matching guardrail
// denies; else of the largest priority the strictest effect decides; else the default. Warnings and the audit flag come
// from every match, whatever decided. The answer does not depend on the order of r.Matches, which is sorted on the way.
//
// d must be fresh from Reset and must not outlive s, req or r.
func Combine(s *Snapshot, req *Request, r *Result, d *Decision) {
	d.Revision = s.Revision
	switch {
	case len(r.Faults) > 0:
		f := firstFault(r)
		d.Fail(f.Code, r.Out.Str(f.Msg))
		return
	case len(s.Policies) == 0:
		d.Effect, d.Reason = Deny, "No policies configured - default deny"
		return
	case len(r.Matches) == 0:
		d.fallBack(s.Default)
		return
	}
	sortMatches(s, r)
	best := &r.Matches[0]
	for i := range r.Matches {
		m := &r.Matches[i]
		if outranks(m, best) {
			best = m
		}
		switch m.Effect {
		case Warn:
			d.warn(s, req, r, m)
		case Audit:
			d.Audit = true
		}
	}
	d.decide(s, r, best)
}

// outranks says whether a decides over b. It is strict, so that of equals the first in order stays.
func outranks(a, b *Match) bool {
	if ga, gb := a.Guardrail && a.Effect == Deny, b.Guardrail && b.Effect == Deny; ga || gb {
		return ga && !gb
	}
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	return a.Effect > b.Effect
}

func (d *Decision) decide(s *Snapshot, r *Result, m *Match) {
	d.Effect, d.Allowed, d.Matched, d.Row = m.Effect, m.Effect.Permits(), true, m.Rule
	if m.Rule >= 0 {
		row := &s.Rules[m.Rule]
		d.Policy, d.Rule, d.Reason = row.Policy, row.ID, row.Sentence
		return
	}
	d.Policy, d.Rule, d.Reason = s.Policies[m.Policy].ID, r.Out.Str(m.ID), r.Out.Str(m.Reason)
	if d.Reason == "" {
		name := r.Out.Str(m.Name)
		if name == "" {
			name = d.Rule
		}
		before, after := sentence(m.Effect)
		d.Reason = d.compose(before, name, after)
	}
}

// warn adds the message of a matching warn rule: its reason, or the sentence that names the action.
func (d *Decision) warn(s *Snapshot, req *Request, r *Result, m *Match) {
	row, msg := int32(-1), ""
	if m.Rule >= 0 {
		msg = s.Rules[m.Rule].Reason
		if msg != "" {
			row = m.Rule
		}
	} else {
		msg = r.Out.Str(m.Reason)
	}
	if msg == "" {
		msg = d.compose("Action '", req.Action, "' triggered warning rule")
	}
	d.Warnings, d.WarnRows = append(d.Warnings, msg), append(d.WarnRows, row)
}

// Fail makes d the denial of an evaluation that went wrong.
func (d *Decision) Fail(code FaultCode, cause string) {
	d.Effect, d.Allowed, d.Fault = Deny, false, code
	d.Reason = d.compose("Evaluation error - denied: ", cause)
}

var defaultReasons = [...]string{
	Allow: "No matching rules - applied default effect: allow",
	Warn:  "No matching rules - applied default effect: warn",
	Audit: "No matching rules - applied default effect: audit",
	Deny:  "No matching rules - applied default effect: deny",
}

func (d *Decision) fallBack(e Effect) {
	if e == None {
		e = Deny
	}
	d.Effect, d.Allowed, d.Reason = e, e.Permits(), defaultReasons[e]
}

// sentence is what stands before and behind a rule's name in the reason for an effect.
func sentence(e Effect) (before, after string) {
	switch e {
	case Allow:
		return "Allowed by rule '", "'"
	case Warn:
		return "Allowed with warning by rule '", "'"
	case Audit:
		return "Allowed with audit requirement by rule '", "'"
	}
	return "Denied by rule '", "'"
}

// Sentence is the reason of a decision by a rule: its own, or the one for its effect and name (its id where it has no
// name). Loaders compute it once for each row.
func Sentence(e Effect, id, name, reason string) string {
	if reason != "" {
		return reason
	}
	if name == "" {
		name = id
	}
	before, after := sentence(e)
	return before + name + after
}

// firstFault is the one reported: of the smallest code, then policy, then message, so that it does not depend on the
// order of evaluation.
func firstFault(r *Result) *Fault {
	f := &r.Faults[0]
	for i := range r.Faults[1:] {
		g := &r.Faults[i+1]
		if g.Code != f.Code && g.Code < f.Code || g.Code == f.Code && (g.Policy < f.Policy ||
			g.Policy == f.Policy && strings.Compare(r.Out.Str(g.Msg), r.Out.Str(f.Msg)) < 0) {
			f = g
		}
	}
	return f
}
