package cli

import (
	"os"
	"path/filepath"
	"sync"

	"thymus/internal/metrics/prom"
	"thymus/pdp/immune"
	"thymus/rules"
)

// maxDifferences bounds the files that one process writes about differences between the engines.
const maxDifferences = 100

// twins is what is known of the two engines over all sets of this process.
type twins struct {
	dir    string                                    // where differences are kept
	tell   func(immune.Report) (immune.Event, error) // nil: there is no log yet
	mu     sync.Mutex
	past   rules.EngineStats // of sets that are no longer active
	active *rules.Set
	kept   int
}

// activate counts on with another set.
func (t *twins) activate(set *rules.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.active != nil {
		t.past = plus(t.past, t.active.Engine.Stats())
	}
	t.active = set
}

func (t *twins) stats() rules.EngineStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.active == nil {
		return t.past
	}
	return plus(t.past, t.active.Engine.Stats())
}

func plus(a, b rules.EngineStats) rules.EngineStats {
	return rules.EngineStats{FellBack: a.FellBack + b.FellBack, Panicked: a.Panicked + b.Panicked, Shadowed: a.Shadowed + b.Shadowed,
		Unsteady: a.Unsteady + b.Unsteady, Different: a.Different + b.Different, Aside: b.Aside}
}

// differs keeps a difference between the engines and tells of it: a file, a line of log, an immune event.
func (p *policies) differs(d rules.Difference) {
	t := &p.twins
	t.mu.Lock()
	keep := t.kept < maxDifferences
	t.kept++
	t.mu.Unlock()
	e := p.log.Error().Str("policy_revision", d.Revision).Str("path", d.Path)
	if keep {
		if err := os.MkdirAll(t.dir, 0o700); err != nil {
			e = e.AnErr("not_kept", err)
		} else if name, err := d.WriteTo(t.dir); err != nil {
			e = e.AnErr("not_kept", err)
		} else {
			e = e.Str("file", name)
		}
	}
	e.Str("on_difference", p.cfg.Rules.OnDifference).Msg("the native engine and topdown answer differently")
	if t.tell == nil {
		return
	}
	_, err := t.tell(immune.Report{Severity: immune.Critical, Type: immune.ErrorSpike, Module: "rules",
		Message: "the native engine and topdown answered a request differently; the file in " + filepath.Base(t.dir) + " has it"})
	if err != nil {
		p.log.Error().Err(err).Msg("the difference could not be recorded")
	}
}

// engineName says what evaluates the active set.
func (p *policies) engineName(opa string) string {
	name := rules.EngineTopdown
	if set := p.set.Load(); set != nil && !set.Engine.Stats().Aside {
		name = set.Engine.Engine
	}
	return string(name) + " (OPA " + opa + ")"
}

// warnEngine names what stays on topdown.
func (p *policies) warnEngine(set *rules.Set) {
	un := set.Engine.Unable
	for i := range un[:min(len(un), maxLogged)] {
		p.log.Warn().Str("name", un[i].Name).Str("cause", un[i].Cause).Msg("evaluated by topdown, not natively")
	}
}

// exportEngine names the metrics of the engines.
func (s *sidecar) exportEngine() {
	one := func(get func(rules.EngineStats) uint64) func(prom.Emit) {
		return func(emit prom.Emit) { emit(float64(get(s.policies.twins.stats()))) }
	}
	r := s.metrics
	r.Counter("thymus_engine_fallbacks_total", "Evaluations that topdown answered because the native engine could not, or met an error.", nil,
		one(func(e rules.EngineStats) uint64 { return e.FellBack }))
	r.Counter("thymus_engine_panics_total", "Fallbacks that a fault of the native engine caused.", nil,
		one(func(e rules.EngineStats) uint64 { return e.Panicked }))
	r.Counter("thymus_engine_shadowed_total", "Evaluations that both engines answered, by rules.shadow_rate.", nil,
		one(func(e rules.EngineStats) uint64 { return e.Shadowed }))
	r.Counter("thymus_engine_differences_total", "Of these, the ones that they answered differently.", nil,
		one(func(e rules.EngineStats) uint64 { return e.Different }))
	r.Gauge("thymus_engine_unable", "Rules' names that the native engine leaves to topdown.", nil, func(emit prom.Emit) {
		if set := s.policies.set.Load(); set != nil {
			emit(float64(len(set.Engine.Unable)))
		}
	})
}
