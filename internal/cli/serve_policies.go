package cli

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"thymus/internal/config"
	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/policy"
	"thymus/rules"
)

// maxLogged bounds how many problems of one reload are logged.
const maxLogged = 50

// policies keeps the engine's policies at what files and the management API say. One lock, the store's, is held by
// whoever compiles and swaps, so that a load is never overtaken by an older one.
type policies struct {
	cfg *config.Config
	log zerolog.Logger

	store     *policy.Store
	stats     *policy.Stats
	loader    *rules.Loader
	files     *rules.Files // of the active set; the store's lock guards it, told and unread
	told      told         // of the set that was compiled last
	unread    bool         // the last reload was refused: what lies in files now does not decide
	set       atomic.Pointer[rules.Set]
	engine    *engine.Engine
	recording recording
	activated func(*pdp.Snapshot)      // told of each set that decides from now on; may be nil
	withheld  atomic.Pointer[withheld] // files that self-healing keeps out; nil: none
	twins     twins

	good, bad atomic.Uint64 // reloads
	refusal   string        // why; belongs to whoever loads
	ask       chan string   // why; holds one, which stands for all that come meanwhile
	ctx       context.Context
	cancel    context.CancelFunc
	done      sync.WaitGroup
}

// openPolicies reads what the management API stored.
func openPolicies(ctx context.Context, s *sidecar) (*policies, error) {
	store, err := policy.Open(s.state, time.Now)
	if err != nil {
		return nil, key("dir", err)
	}
	p := &policies{cfg: s.cfg, log: s.log, store: store, stats: policy.NewStats(), loader: rules.NewLoader(), recording: s.recording, ask: make(chan string, 1)}
	p.twins.dir = filepath.Join(s.cfg.Dir, "differences")
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.keeping.also(store.Flush)
	return p, nil
}

// start gives the engine the set of the start. Files are watched from before they are read, so that what changes
// meanwhile is not missed; nothing is done about it before run.
func (p *policies) start(ctx context.Context, e *engine.Engine) error {
	p.engine = e
	if p.cfg.Policies.Watch && len(p.cfg.Policies.Paths) > 0 {
		p.done.Go(func() { watchPolicies(p.ctx, p.cfg, p.log, func() { p.reload("files changed") }) })
	}
	if err := p.store.Start(ctx, p); err != nil {
		return err
	}
	if p.recording != nil {
		p.recording.Watch(observed{p.stats})
	}
	p.warn(p.set.Load())
	return nil
}

// observed feeds statistics from the pump.
type observed struct{ stats *policy.Stats }

// Observe implements emitter.Detector.
func (o observed) Observe(rec *pdp.Record, _ func(*pdp.Event)) { o.stats.Observe(rec) }

// rules is how many effect rules decide.
func (p *policies) rules() (n int) {
	for _, x := range p.set.Load().Snapshot.Policies {
		n += x.Rules
	}
	return n
}

// run starts the goroutine that does what reload asks for.
func (p *policies) run() {
	p.done.Go(func() {
		for {
			select {
			case <-p.ctx.Done():
				return
			case why := <-p.ask:
				p.load(p.ctx, why)
			}
		}
	})
}

// stop ends watching and loading. It may be called more than once.
func (p *policies) stop() {
	p.cancel()
	p.done.Wait()
}

// whyChanged is the reason of a reload that a change by the management API may have made possible.
const whyChanged = "stored policies changed"

// whySignal is the reason of a reload that an operator asked for.
const whySignal = "SIGHUP"

// reload asks for a load and returns at once.
func (p *policies) reload(why string) {
	if why == whySignal {
		p.withheld.Store(nil) // the operator insists, even if another reason waits already
	}
	select {
	case p.ask <- why:
	default:
	}
}

func (p *policies) load(ctx context.Context, why string) {
	start := time.Now()
	_, changed, err := p.store.Reload(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		if again := err.Error(); why != whyChanged || again != p.refusal { // else all is said
			p.refusal = again
			p.bad.Add(1)
			p.refused(err, why)
		}
		return
	}
	p.good.Add(1)
	set := p.set.Load()
	if !changed {
		p.log.Info().Str("why", why).Str("policy_revision", set.Snapshot.Revision).Msg("policies read again, nothing changed")
		return
	}
	p.warn(set)
	p.log.Info().Str("why", why).Str("policy_revision", set.Snapshot.Revision).Int("policies", len(set.Snapshot.Policies)).
		Int("rules", p.rules()).Dur("took_ms", time.Since(start)).Msg("policies reloaded")
}

// refused says why a set was not taken: a line a problem.
func (p *policies) refused(err error, why string) {
	e := p.log.Error().Str("why", why).Str("policy_revision", p.set.Load().Snapshot.Revision)
	var ps rules.Problems
	if !errors.As(err, &ps) {
		e.Err(err).Msg("policies not reloaded, the last good set stays")
		return
	}
	e.Int("problems", len(ps)).Err(ps[0]).Msg("policies not reloaded, the last good set stays")
	for i := range ps[:min(len(ps), maxLogged)] {
		p.log.Error().Err(ps[i]).Msg("policy problem")
	}
}

func (p *policies) warn(set *rules.Set) {
	warned := set.Warnings()
	for i := range warned[:min(len(warned), maxLogged)] {
		p.log.Warn().Err(warned[i]).Msg("policy warning")
	}
	if lost := lostEntrypoint(p.cfg, set); lost != nil {
		p.log.Warn().Err(lost).Msg("policy warning")
	}
	p.warnEngine(set)
}
