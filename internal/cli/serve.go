package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"thymus/internal/config"
	"thymus/internal/guard"
	"thymus/internal/health"
	"thymus/internal/metrics/prom"
	"thymus/internal/state"
	"thymus/pdp/admin"
	"thymus/pdp/engine"
	"thymus/pdp/extauthz"
	"thymus/pdp/extauthz/token"
	dataplane "thymus/pdp/server"
)

// Times of the end: what is in flight gets drainRequests, then the recording drainEvents.
const (
	drainRequests = 8 * time.Second
	drainEvents   = 9 * time.Second
	drainAdmin    = time.Second
	watchFiles    = time.Second
)

// sidecar is one running process: what serve wires together, in the order in which it is opened.
type sidecar struct {
	cfg      *config.Config
	log      zerolog.Logger
	started  time.Time
	version  Version
	instance string

	lock      *os.File
	files     *guard.Files
	recording recording // nil: nothing is recorded
	state     *state.State
	keeping   *keeping
	stored    stored
	immunity  *immunity
	engine    *engine.Engine
	policies  *policies
	health    *health.Health
	metrics   *prom.Registry

	data        *dataplane.Server
	mesh        *extauthz.Mesh
	keys        *token.Verifier // of tokens that proxies show; nil: none are asked for
	management  *admin.Server   // nil: off
	diagnostics *admin.Server   // nil: off
	addresses   map[string]string
}

// runServe wires the server and runs it until a signal ends it. cfg.Policies.Paths holds args already.
func runServe(ctx context.Context, cfg *config.Config, _ []string, std Stdio) error {
	log, err := newLogger(cfg.Log, std)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	s := &sidecar{cfg: cfg, log: log, started: time.Now(), version: BuildVersion(), addresses: map[string]string{}}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return err
	}
	s.serve()
	return s.wait(ctx, signals)
}

// open makes everything, so that whatever is wrong is said before anybody is let in.
func (s *sidecar) open(ctx context.Context) (err error) {
	if err = config.EnsureDir(s.cfg.Dir); err != nil {
		return err
	}
	if s.lock, err = lockDir(s.cfg.Dir); err != nil {
		return err
	}
	if s.instance, err = instanceName(s.cfg.Dir, s.cfg.Instance); err != nil {
		return err
	}
	s.files = guard.WatchFiles(watchFiles, s.fileRead)
	s.metrics = prom.New(prom.Build{Version: s.version.Version, Revision: s.version.Revision, Go: s.version.Go})
	if s.recording, err = openRecording(s); err != nil {
		return err
	}
	if s.state, err = openState(s); err != nil {
		return err
	}
	if s.policies, err = openPolicies(ctx, s); err != nil {
		return err
	}
	if err = s.openStored(); err != nil {
		return err
	}
	if err = s.openImmunity(); err != nil {
		return err
	}
	o := engine.Options{Deadline: s.cfg.Data.Deadline, Quarantine: s.stored.quarantine, Outranked: s.policies.stats}
	if s.recording != nil {
		o.Recorder, o.Strict, o.Input = leanRecorder{s.recording, &s.immunity.shedding}, s.cfg.Events.Strict, s.cfg.Events.Input
	}
	s.engine = engine.New(o)
	if err = s.policies.start(ctx, s.engine); err != nil {
		return storedHint(err)
	}
	s.immunity.start(ctx)
	s.health = health.New(s.checks()...)
	if err = s.openPlanes(ctx); err != nil {
		return err
	}
	s.export()
	s.immunity.export(s.metrics)
	return nil
}

func (s *sidecar) checks() []health.Check {
	cs := []health.Check{{Name: "policies", Fail: func() string {
		if s.engine.Active() == nil {
			return engine.ErrNoPolicies.Error()
		}
		return ""
	}}}
	if s.recording != nil {
		cs = append(cs, s.recording.Checks()...)
	}
	return cs
}

// serve lets callers in and says so.
func (s *sidecar) serve() {
	s.data.Serve()
	s.mesh.Start()
	if s.management != nil {
		s.management.Serve()
	}
	if s.diagnostics != nil {
		s.diagnostics.Serve()
	}
	s.policies.run()
	snap := s.engine.Active()
	e := s.log.Log().Str(zerolog.LevelFieldName, zerolog.InfoLevel.String()) // whatever the level
	for _, plane := range planes() {
		if a := s.addresses[plane]; a != "" {
			e = e.Str(plane, a)
		}
	}
	e.Str("instance", s.instance).Str("version", s.version.Version).Str("policy_revision", snap.Revision).
		Int("policies", len(snap.Policies)).Int("rules", s.policies.rules()).
		Dur("took_ms", time.Since(s.started)).Msg("ready")
}

// wait does what signals say until one ends the process.
func (s *sidecar) wait(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return s.drain(signals)
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				s.policies.reload(whySignal)
				continue
			}
			s.log.Info().Str("signal", sig.String()).Dur("delay_ms", s.cfg.Data.DrainDelay).Msg("draining")
			return s.drain(signals)
		}
	}
}

// errHurried is the end by a second signal.
var errHurried = errors.New("ended by a second signal, before everything was done")

// drain ends the process in order: readiness, listeners, requests in flight, records, the planes of operators.
func (s *sidecar) drain(signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.wind(ctx)
	}()
	for {
		select {
		case <-done:
			s.log.Info().Dur("uptime_ms", time.Since(s.started)).Msg("stopped")
			return nil
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				return &exitError{exitNo, errHurried}
			}
		}
	}
}

func (s *sidecar) wind(ctx context.Context) {
	s.health.Drain()
	s.mesh.NotServing()
	s.policies.stop()
	select {
	case <-time.After(s.cfg.Data.DrainDelay):
	case <-ctx.Done():
		return
	}
	within, cancel := context.WithTimeout(ctx, drainRequests)
	proxies := make(chan error, 1)
	go func() { proxies <- s.mesh.Drain(within) }()
	if err := s.data.Drain(within); err != nil {
		s.log.Warn().Err(err).Msg("data plane")
	}
	if err := <-proxies; err != nil {
		s.log.Warn().Err(err).Msg("mesh")
	}
	cancel()
	if s.recording != nil {
		within, cancel = context.WithTimeout(ctx, drainEvents)
		if err := s.recording.Drain(within); err != nil {
			s.log.Error().Err(err).Msg("events")
		}
		cancel()
	}
	within, cancel = context.WithTimeout(ctx, drainAdmin)
	defer cancel()
	for _, p := range [...]*admin.Server{s.management, s.diagnostics} {
		if p != nil {
			p.Drain(within)
		}
	}
}

// close lets go of whatever is open; after a drain that is little.
func (s *sidecar) close() {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if s.data != nil {
		s.data.Close()
	}
	s.closeMesh()
	for _, p := range [...]*admin.Server{s.management, s.diagnostics} {
		if p != nil {
			p.Drain(gone)
		}
	}
	if s.policies != nil {
		s.policies.stop()
	}
	if s.engine != nil {
		s.engine.Close()
	}
	s.closeStored()
	s.closeState()
	if s.recording != nil {
		s.recording.Close()
	}
	if s.files != nil {
		s.files.Close()
	}
	if s.lock != nil {
		_ = s.lock.Close() // and with it the lock
	}
}

// fileRead is told that a token or certificate was read again.
func (s *sidecar) fileRead(path string, err error) {
	if err != nil {
		s.log.Error().Str("file", path).Err(err).Msg("changed file not taken, the last good one stays")
		return
	}
	s.log.Info().Str("file", path).Msg("changed file taken")
}

// planeLog lets a plane say what an operator has to know.
type planeLog struct {
	log   zerolog.Logger
	plane string
}

// Warn is the planes' Log.
func (l planeLog) Warn(what string, err error) {
	l.log.Warn().Str("plane", l.plane).Err(err).Msg(what)
}

// key names the configuration key that an error is about.
func key(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("key %q: %w", name, err)
}
