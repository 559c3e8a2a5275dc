package rules

import (
	"strconv"
	"strings"

	"thymus/pdp"
)

// parts is topdown behind the native engine: over what is compiled together at once, over a policy that lies apart when it
// is needed, and over all in one when nothing less will do. It numbers policies and rows as the snapshot does.
type parts struct {
	world      *world
	rowsOf     []int32 // row of the world to row of Snapshot.Rules
	policiesOf []int32 // policy of the world to row of Snapshot.Policies
	apart      []apartPolicy
	policies   []pdp.Policy
	guards     []guard
	reads      inputReads
	minis      *minis
	all        *lazily
}

// apartPolicy is a policy that is compiled by itself, in a set.
type apartPolicy struct {
	piece  *piece
	policy int32 // row of Snapshot.Policies
	first  int32 // its first row of Snapshot.Rules
}

// Match implements pdp.Evaluator: topdown over everything.
func (s *parts) Match(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	if len(s.apart) == 0 {
		s.Base(in, b, r)
		return
	}
	if w := s.all.get(b, r); w != nil {
		w.ev.Match(in, b, r)
	}
}

// Base implements native.Parts.
func (s *parts) Base(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	s.world.ev.Match(in, b, r)
	for i := range r.Matches {
		m := &r.Matches[i]
		if m.Policy = s.policiesOf[m.Policy]; m.Rule >= 0 {
			m.Rule = s.rowsOf[m.Rule]
		}
	}
	s.number(r)
}

// number gives faults of the world the numbers of the set.
func (s *parts) number(r *pdp.Result) {
	for i := range r.Faults {
		if f := &r.Faults[i]; f.Policy >= 0 {
			f.Policy = s.policiesOf[f.Policy]
		}
	}
}

// Rest implements native.Parts. What a policy costs to compile is bounded by the deadline like all else: it is compiled
// whatever becomes of this call, and is there for the next.
func (s *parts) Rest(policies []int32, in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	for _, n := range policies {
		var one pdp.Result
		p := s.at(n)
		w := s.mini(p).get(b, &one)
		if w != nil {
			w.ev.Match(in, b, &one)
		}
		for _, m := range one.Matches { // all of them are rows
			m.Rule, m.Policy = m.Rule+p.first, n
			r.Matches = append(r.Matches, m)
		}
		for _, f := range one.Faults {
			if f.Policy >= 0 {
				f.Policy = n
			}
			if len(r.Faults) < maxFaults {
				r.AddFault(f.Code, f.Policy, one.Out.Str(f.Msg))
			}
		}
		if b.Stopped() {
			return
		}
	}
}

func (s *parts) at(policy int32) *apartPolicy {
	lo, hi := 0, len(s.apart)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); s.apart[m].policy < policy {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return &s.apart[lo]
}

// Value implements pdp.Evaluator for questions of the world.
func (s *parts) Value(q pdp.Query, in *pdp.Doc, strict bool, b *pdp.Budget, r *pdp.Result) {
	s.world.ev.Value(q, in, strict, b, r)
	s.number(r)
}

// Query implements pdp.Evaluator, likewise.
func (s *parts) Query(path []string) pdp.Query { return s.world.ev.Query(path) }

// elsewhere is a question whose answer does not lie in the world alone: nil apart means that all is needed.
type elsewhere struct {
	path  []string
	apart *apartPolicy
}

// Path is what the question asks for, its segments parted by slashes.
func (q *elsewhere) Path() string { return strings.Join(q.path, "/") }

// elsewhere is the question for a path, nil where the world has the answer.
func (s *parts) elsewhere(path []string) *elsewhere {
	if len(s.apart) == 0 {
		return nil
	}
	var steps []string // empty ones do not count
	for _, k := range path {
		if k != "" {
			steps = append(steps, k)
		}
	}
	p, below := s.find(steps)
	if p == nil && !below {
		return nil
	}
	return &elsewhere{steps, p}
}

// whole is who answers a question that goes elsewhere; nil where that is not there in time, which is in r.
func (s *parts) whole(q *elsewhere, b *pdp.Budget, r *pdp.Result) *whole {
	if q.apart != nil {
		return s.mini(q.apart).get(b, r)
	}
	return s.all.get(b, r)
}

// number gives faults of a whole the numbers of the set.
func (q *elsewhere) number(r *pdp.Result) {
	if q.apart == nil {
		return
	}
	for i := range r.Faults {
		if f := &r.Faults[i]; f.Policy >= 0 {
			f.Policy = q.apart.policy
		}
	}
}

// defines says whether a rule, a package or data lies at the path.
func (s *parts) defines(path []string) bool {
	q := s.elsewhere(path)
	switch {
	case q == nil:
		return s.world.ev.defines(path)
	case q.apart == nil:
		return len(q.path) > 0
	}
	w := s.mini(q.apart).get(nil, nil)
	return w != nil && w.ev.defines(q.path)
}

// ReadsInput says whether any policy of the set could look at the input's member called name.
func (s *parts) ReadsInput(name string) bool { return s.reads.all || s.reads.names[name] }

func isInteger(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}
