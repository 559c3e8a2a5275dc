package cli

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"thymus/internal/config"
	"thymus/pdp/engine"
	"thymus/rules"
)

// maxLogged bounds how many problems of one reload are logged.
const maxLogged = 50

// policies keeps the engine's policies at what the files say: one goroutine loads, so that a load is never overtaken by
// an older one.
type policies struct {
	cfg *config.Config
	log zerolog.Logger

	set       atomic.Pointer[rules.Set]
	engine    *engine.Engine
	recording recording

	good, bad atomic.Uint64 // reloads
	ask       chan string   // why; holds one, which stands for all that come meanwhile
	ctx       context.Context
	cancel    context.CancelFunc
	done      sync.WaitGroup
}

// loadPolicies loads the set of the start. Files are watched from before they are read, so that what changes meanwhile
// is not missed; nothing is done about it before run.
func loadPolicies(ctx context.Context, cfg *config.Config, log zerolog.Logger) (*policies, error) {
	p := &policies{cfg: cfg, log: log, ask: make(chan string, 1)}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if cfg.Policies.Watch && len(cfg.Policies.Paths) > 0 {
		p.done.Go(func() { watchPolicies(p.ctx, cfg, log, func() { p.reload("files changed") }) })
	}
	set, err := rules.Load(ctx, ruleOptions(cfg))
	if err != nil {
		p.stop()
		return nil, err
	}
	p.set.Store(set)
	p.warn(set)
	return p, nil
}

// activate gives the engine the set of the start.
func (p *policies) activate(e *engine.Engine, r recording) error {
	p.engine, p.recording = e, r
	return p.swap(nil, p.set.Load())
}

// swap makes a set the one that decides. Its rule rows are on record before that.
func (p *policies) swap(old, set *rules.Set) error {
	if p.recording != nil {
		if err := p.recording.Adopt(old, set); err != nil {
			return err
		}
	}
	p.set.Store(set)
	p.engine.Activate(set.Snapshot)
	return nil
}

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

// reload asks for a load and returns at once.
func (p *policies) reload(why string) {
	select {
	case p.ask <- why:
	default:
	}
}

func (p *policies) load(ctx context.Context, why string) {
	start := time.Now()
	old := p.set.Load()
	set, err := rules.Load(ctx, ruleOptions(p.cfg))
	if err == nil && set.Snapshot.Revision != old.Snapshot.Revision {
		err = p.swap(old, set)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.bad.Add(1)
		p.refused(err, why)
		return
	}
	p.good.Add(1)
	if set.Snapshot.Revision == old.Snapshot.Revision {
		p.log.Info().Str("why", why).Str("policy_revision", old.Snapshot.Revision).Msg("policies read again, nothing changed")
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
	for i := range set.Warnings[:min(len(set.Warnings), maxLogged)] {
		p.log.Warn().Err(set.Warnings[i]).Msg("policy warning")
	}
}
