package rules

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
	"thymus/rules/native"
)

// Engine names what evaluates.
type Engine string

// The engines. EngineNative is compiled and answers whatever topdown would; what it cannot evaluate, and what ends in
// an error, topdown answers. EngineTopdown is OPA's own.
const (
	EngineNative  Engine = "native"
	EngineTopdown Engine = "topdown"
)

// dual is both engines over one set: native answers, and topdown where native cannot.
type dual struct {
	*parts
	native *native.Engine
	shadow *shadow // nil: no request is compared
}

// useNative puts the native engine in front of topdown. What stays on topdown, and why, is in Set.Engine.
func (s *Set) useNative(o *Options, p *parts) {
	d := &dual{parts: p, native: p.engine(s.Snapshot, p)}
	if o.ShadowRate > 0 {
		d.shadow = newShadow(s, d, o)
	}
	s.Engine = EngineInfo{Engine: EngineNative, Unable: p.world.report.Unable, stats: d.native.Stats, shadow: d.shadow}
	s.Snapshot.Eval = d
}

// nativeOptions tells the native engine what the merge made.
func (ev *evaluator) nativeOptions() native.Options {
	root := ast.Ref{ast.DefaultRootDocument, ast.StringTerm(generatedRoot)}
	o := native.Options{
		Compiler: ev.compiler, Data: ev.store.root, Hidden: generatedRoot, Fallback: ev, Values: ev.values, Context: withBudget,
		Sets: []native.Set{
			{Ref: append(slices.Clone(root), ast.StringTerm("m")), Merged: true},
			{Ref: append(slices.Clone(root), ast.StringTerm("o")), Merged: true, When: ev.odd},
		},
	}
	for _, s := range ev.alone {
		ref := s.body[0].Operand(1).Value.(ast.Ref)
		o.Sets = append(o.Sets, native.Set{Ref: ref, Policy: s.key.policy, Effect: s.key.effect})
	}
	for i := range ev.merge.rows {
		r := &ev.merge.rows[i]
		o.Rows = append(o.Rows, pdp.Match{Rule: int32(i), Policy: ev.rowOf[i], Effect: r.Effect, Guardrail: r.Guardrail, Priority: r.Priority})
	}
	for key, cs := range ev.merge.elements {
		for _, bucket := range cs.rows {
			for _, c := range bucket {
				o.Constants = append(o.Constants, native.Constant{Policy: key.policy, Effect: key.effect, Value: c.value, Row: c.row})
			}
		}
	}
	return o
}

// Match implements pdp.Evaluator.
func (d *dual) Match(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	if len(d.policies) == 0 {
		r.Reset(keepResult)
		return
	}
	d.native.Match(in, b, r)
	if d.shadow != nil {
		d.shadow.offer(nil, in, true, r)
	}
}

// Value implements pdp.Evaluator.
func (d *dual) Value(q pdp.Query, in *pdp.Doc, strict bool, b *pdp.Budget, r *pdp.Result) {
	d.value(q, in, strict, b, r)
	if d.shadow != nil {
		d.shadow.offer(q, in, strict, r)
	}
}

func (d *dual) value(q pdp.Query, in *pdp.Doc, strict bool, b *pdp.Budget, r *pdp.Result) {
	e, ok := q.(*elsewhere)
	if !ok {
		d.native.Value(q, in, strict, b, r)
		return
	}
	d.valueElsewhere(e, d.native.Stats().Aside, in, strict, b, r)
}

// valueElsewhere asks both engines, or topdown, about policies that lie apart.
func (d *dual) valueElsewhere(q *elsewhere, topdown bool, in *pdp.Doc, strict bool, b *pdp.Budget, r *pdp.Result) {
	r.Reset(keepResult)
	if w := d.whole(q, b, r); w != nil {
		w.value(q.path, topdown, strict, in, b, r)
		q.number(r)
	}
}

// Query implements pdp.Evaluator.
func (d *dual) Query(path []string) pdp.Query {
	if q := d.elsewhere(path); q != nil {
		return q
	}
	return d.native.Query(path)
}

// EngineInfo says what evaluates a set.
type EngineInfo struct {
	Engine Engine
	// Unable is what stays on topdown, and why: a name below data and the cause with its place.
	Unable []native.Unable
	stats  func() native.Stats
	shadow *shadow
}

// EngineStats counts since the set was loaded.
type EngineStats struct {
	FellBack  uint64 // evaluations that topdown answered in the native engine's place
	Panicked  uint64 // of these, the ones that met a fault of the native engine
	Shadowed  uint64 // evaluations that were compared
	Unsteady  uint64 // of these, the ones that topdown itself answers differently each time
	Different uint64 // of these, the ones that the engines answered differently
	Aside     bool   // the native engine has stepped aside
}

// Stats may be called at any time.
func (e *EngineInfo) Stats() EngineStats {
	var out EngineStats
	if e.stats != nil {
		s := e.stats()
		out.FellBack, out.Panicked, out.Aside = s.FellBack, s.Panicked, s.Aside
	}
	if e.shadow != nil {
		out.Shadowed, out.Unsteady, out.Different = e.shadow.asked.Load(), e.shadow.unsteady.Load(), e.shadow.different.Load()
	}
	return out
}
