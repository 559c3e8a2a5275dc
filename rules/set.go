package rules

import (
	"slices"
	"strings"

	"thymus/pdp"
	"thymus/rules/native"
)

// compile makes the set out of what the sources held; it adds problems where it cannot. What was compiled for an earlier
// set is not compiled again; what is done anew is in proportion to the number of rules, and small: their numbers, the
// dispatch over them, and lists.
func (l *loader) compile(o *Options) *Set {
	if len(l.problems) > 0 {
		l.assemble(o, nil) // what else is wrong
		return nil
	}
	apart, joined := l.part(o)
	w := l.world(o, joined)
	if w != nil && w.err != nil { // nothing can be evaluated natively
		top := *o
		top.Engine = EngineTopdown
		err := w.err
		if apart, joined = l.part(&top); len(joined) > 0 {
			w = l.world(&top, joined)
		}
		if w != nil {
			set := l.set(o, w, nil)
			set.Engine.Unable = []native.Unable{{Name: "data", Cause: err.Error()}}
			return set
		}
	}
	if w == nil {
		return nil
	}
	return l.set(o, w, apart)
}

// set puts together a world and the policies that lie apart from it.
func (l *loader) set(o *Options, w *world, apart []*piece) *Set {
	policies := active(l.policies)
	snap := &pdp.Snapshot{Policies: policies, Default: pdp.StrictestDefault(policies)}
	set := &Set{Policies: l.policies, Snapshot: snap, Engine: EngineInfo{Engine: EngineTopdown},
		world: w, apart: apart, structs: l.structs, entry: o.Entrypoint}
	if w.base == nil {
		snap.Rules, snap.Eval = w.rows, w.ev
	} else {
		set.useNative(o, l.parts(o, w, apart, snap))
	}
	if o.Entrypoint != "" {
		snap.EntryPath = o.Entrypoint
		snap.Entrypoint = snap.Eval.Query(splitEntrypoint(o.Entrypoint))
	}
	return set
}

// parts numbers the policies and rows of the whole, in the order that a snapshot promises, and remembers which are whose.
func (l *loader) parts(o *Options, w *world, apart []*piece, snap *pdp.Snapshot) *parts {
	n := len(w.rows)
	for _, p := range apart {
		n += len(p.rows)
	}
	s := &parts{world: w, policiesOf: make([]int32, len(w.policies)), rowsOf: make([]int32, 0, len(w.rows)), policies: snap.Policies,
		minis: l.cache.minis, apart: make([]apartPolicy, 0, len(apart)), reads: inputReads{all: w.ev.reads.all, names: map[string]bool{}}}
	snap.Rules = make([]pdp.Rule, 0, n)
	theirs, row := 0, 0 // of the world
	for i := range snap.Policies {
		id := snap.Policies[i].ID
		if theirs < len(w.policies) && w.policies[theirs].ID == id {
			s.policiesOf[theirs] = int32(i)
			theirs++
			for ; row < len(w.rows) && w.rows[row].Policy == id; row++ {
				s.rowsOf = append(s.rowsOf, int32(len(snap.Rules)))
				snap.Rules = append(snap.Rules, w.rows[row])
			}
			continue
		}
		p := apart[len(s.apart)] // in the same order
		s.apart = append(s.apart, apartPolicy{p, int32(i), int32(len(snap.Rules))})
		snap.Rules = append(snap.Rules, p.rows...)
	}
	for name := range w.ev.reads.names {
		s.reads.names[name] = true
	}
	seen := map[string]bool{}
	s.guards = uniqueGuards(nil, w.ev.guards, seen)
	for _, p := range apart {
		if p.looks.turn == l.cache.turn {
			continue
		}
		p.looks.turn = l.cache.turn
		s.guards = uniqueGuards(s.guards, p.looks.guards, seen)
		for _, name := range p.looks.reads {
			s.reads.names[name] = true
		}
	}
	s.all = l.everything(o, s)
	return s
}

// engine makes the native engine of the whole.
func (s *parts) engine(snap *pdp.Snapshot, fallback pdp.Evaluator) *native.Engine {
	w := native.Whole{Rows: make([]pdp.Match, 0, len(snap.Rules)), Policies: s.policiesOf, Fallback: fallback,
		When: []func(*pdp.Doc) bool{setMerged: nil, setDodged: s.odd}}
	match := func(row, policy int32) {
		r := &snap.Rules[row]
		w.Rows = append(w.Rows, pdp.Match{Rule: row, Policy: policy, Effect: r.Effect, Guardrail: r.Guardrail, Priority: r.Priority})
	}
	for i, row := range s.rowsOf {
		match(row, s.policiesOf[s.world.ev.rowOf[i]])
	}
	for i := range s.apart {
		p := &s.apart[i]
		if p.piece.loose == nil {
			continue
		}
		w.Pieces, w.First = append(w.Pieces, p.piece.loose), append(w.First, int32(len(w.Rows)))
		for j := range p.piece.rows {
			match(p.first+int32(j), p.policy)
		}
	}
	return s.world.base.Engine(w)
}

// odd says whether the input does what rules about odd fields look for.
func (s *parts) odd(in *pdp.Doc) bool { return meets(s.guards, in) }

// find is the policy that lies apart at path or nearest above it; nil where there is none. below says that some lie below
// path, so that no one policy has the answer.
func (s *parts) find(path []string) (p *apartPolicy, below bool) {
	if len(path) == 0 || path[0] != "policies" {
		return nil, len(path) == 0
	}
	id := ""
	for i, step := range path[1:] {
		if strings.Contains(step, ".") || isInteger(step) { // no package's
			return p, false
		}
		if i > 0 {
			id += "."
		}
		id += step
		if at, found := s.search(id); found {
			p = &s.apart[at]
		}
	}
	if id == "" {
		return nil, true
	}
	if at, _ := s.search(id + "."); at < len(s.apart) && strings.HasPrefix(s.apart[at].piece.info.ID, id+".") {
		return nil, true
	}
	return p, false
}

func (s *parts) search(id string) (int, bool) {
	return slices.BinarySearchFunc(s.apart, id, func(p apartPolicy, id string) int { return strings.Compare(p.piece.info.ID, id) })
}
