package cli

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"thymus/emitter"
	"thymus/internal/state"
	"thymus/pdp"
)

const (
	stateFile  = "state.db"
	offerEvery = 100 * time.Millisecond // how often events that found no room are offered again
	dropEvery  = time.Second            // how often events that the journal has are dropped from the state
)

// openState opens what changes by hand or by threat, and offers the ring what an earlier life owes.
func openState(s *sidecar) (*state.State, error) {
	st, err := state.Open(filepath.Join(s.cfg.Dir, stateFile), publisher{s.recording, s.log}, s.recording.Owed())
	if err != nil {
		return nil, key("dir", err)
	}
	s.keeping = keepState(st, s.recording, s.log)
	return st, nil
}

func (s *sidecar) closeState() {
	if s.keeping != nil {
		s.keeping.stop()
	}
	if s.state == nil {
		return
	}
	if err := s.state.Close(); err != nil {
		s.log.Error().Err(err).Msg("closing the state")
	}
	s.state = nil
}

// publisher is the ring as the state sees it.
type publisher struct {
	recording
	log zerolog.Logger
}

// Publish gives an event to the ring. One that can never be taken counts as taken, and is logged: it must not hold up
// those behind it.
func (p publisher) Publish(c pdp.Class, e *pdp.Event) bool {
	err := p.recording.Publish(c, e)
	if bad := (*emitter.EventError)(nil); errors.As(err, &bad) {
		p.log.Error().Str("type", e.Type).Str("key", e.Key).Err(err).Msg("the event of a stored change cannot be recorded")
		return true
	}
	return err == nil
}

// keeping offers what is owed, and drops what the journal has.
type keeping struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	once   sync.Once

	mu    sync.Mutex
	flush []func() error
}

func keepState(st *state.State, r recording, log zerolog.Logger) *keeping {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeping{cancel: cancel}
	k.done.Go(func() { k.run(ctx, st, r, log) })
	return k
}

// also adds what is tried now and then until it succeeds.
func (k *keeping) also(f func() error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flush = append(k.flush, f)
}

func (k *keeping) stop() {
	k.once.Do(func() {
		k.cancel()
		k.done.Wait()
	})
}

func (k *keeping) run(ctx context.Context, st *state.State, r recording, log zerolog.Logger) {
	t := time.NewTicker(offerEvery)
	defer t.Stop()
	dropped, at := r.Owed(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		st.Offer()
		k.mu.Lock()
		for _, f := range k.flush {
			if err := f(); err != nil && !errors.Is(err, pdp.ErrNoRoom) {
				log.Error().Err(err).Msg("events of a reload are not recorded yet")
			}
		}
		k.mu.Unlock()
		n := r.Owed()
		if n == dropped || time.Since(at) < dropEvery {
			continue
		}
		at = time.Now()
		if err := st.Journaled(n); err != nil {
			log.Error().Err(err).Msg("recorded events cannot be dropped from the state")
			continue
		}
		dropped = n
	}
}
