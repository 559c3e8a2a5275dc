package pdp

import (
	"slices"
	"strings"
)

// sortMatches puts matches in the order in which they are reported: by policy id, rule id, name, reason, and of those
// that agree in all four by what they ask for.
func sortMatches(s *Snapshot, r *Result) {
	ms := r.Matches
	if len(ms) > 16 {
		slices.SortFunc(ms, func(a, b Match) int { return compareMatches(s, r, &a, &b) })
		return
	}
	for i := 1; i < len(ms); i++ { // a handful at most, as a rule
		for j := i; j > 0 && compareMatches(s, r, &ms[j], &ms[j-1]) < 0; j-- {
			ms[j], ms[j-1] = ms[j-1], ms[j]
		}
	}
}

func compareMatches(s *Snapshot, r *Result, a, b *Match) int {
	if a.Rule >= 0 && b.Rule >= 0 {
		return int(a.Rule) - int(b.Rule) // rows are sorted
	}
	if a.Policy != b.Policy {
		return int(a.Policy) - int(b.Policy) // so are policies
	}
	aid, aname, areason := names(s, r, a)
	bid, bname, breason := names(s, r, b)
	if c := strings.Compare(aid, bid); c != 0 {
		return c
	}
	if c := strings.Compare(aname, bname); c != 0 {
		return c
	}
	if c := strings.Compare(areason, breason); c != 0 {
		return c
	}
	if a.Effect != b.Effect {
		return int(a.Effect) - int(b.Effect)
	}
	switch {
	case a.Priority < b.Priority:
		return -1
	case a.Priority > b.Priority:
		return 1
	}
	return 0
}

func names(s *Snapshot, r *Result, m *Match) (id, name, reason string) {
	if m.Rule >= 0 {
		row := &s.Rules[m.Rule]
		return row.ID, row.Name, row.Reason
	}
	return r.Out.Str(m.ID), r.Out.Str(m.Name), r.Out.Str(m.Reason)
}

// SortRules puts rows into the order a Snapshot promises.
func SortRules(rows []Rule) { slices.SortFunc(rows, CompareRules) }

// CompareRules is that order.
func CompareRules(a, b Rule) int {
	for _, p := range [...][2]string{{a.Policy, b.Policy}, {a.ID, b.ID}, {a.Name, b.Name}, {a.Reason, b.Reason}} {
		if c := strings.Compare(p[0], p[1]); c != 0 {
			return c
		}
	}
	if a.Effect != b.Effect {
		return int(a.Effect) - int(b.Effect)
	}
	switch {
	case a.Priority < b.Priority:
		return -1
	case a.Priority > b.Priority:
		return 1
	case a.Guardrail != b.Guardrail && b.Guardrail:
		return -1
	case a.Guardrail != b.Guardrail:
		return 1
	}
	return 0
}
