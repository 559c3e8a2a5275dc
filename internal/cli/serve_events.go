package cli

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/emitter/ring"
	"thymus/emitter/sink"
	"thymus/internal/health"
	"thymus/internal/metrics/prom"
	"thymus/pdp"
	"thymus/pdp/admin"
	"thymus/pdp/detect"
	"thymus/pdp/engine"
)

// recording is what becomes of decisions: ring, journal and sinks, as serve sees them. Its methods but Record are called
// by serve's own goroutines, one at a time.
type recording interface {
	engine.Recorder
	// Adopt numbers a snapshot and keeps its rule rows, before a decision can use it. An error keeps the set from being
	// used.
	Adopt(set *pdp.Snapshot) error
	// Watch adds what sees each record on its way to the journal, behind those that were added before.
	Watch(emitter.Detector)
	// Begin begins to journal and to ship, once everybody watches: what the ring holds of an earlier life is seen by all.
	Begin()
	// Publish, Room and Owed are the ring's side of stored changes: see state.Publisher and state.Open.
	Publish(c pdp.Class, e *pdp.Event) error
	Room(c pdp.Class) bool
	Owed() uint64
	// Refuse counts a record that is left out on purpose as shed.
	Refuse(c pdp.Class)
	// Pressure is how full the ring is.
	Pressure() detect.Reading
	// ReadJournal reads from a time on, but no more than the last events.
	ReadJournal(from time.Time, most uint64) (*journal.Reader, error)
	// JournalDir is where the journal lies; EventLog is the journal for the event stream.
	JournalDir() string
	EventLog() admin.EventLog
	// Checks are the conditions of readiness that are the recording's.
	Checks() []health.Check
	// Export adds the metrics of ring, journal and sinks. It is called once.
	Export(r *prom.Registry)
	// Sinks are where events go, for the management plane.
	Sinks() []admin.Sink
	// Drain empties the ring and gives the sinks their time. No decision is recorded from then on.
	Drain(ctx context.Context) error
	// Close lets go of files and goroutines; also where Drain was not called.
	Close()
}

// drainSinks is what the sinks get at the end (CONTRACT 9).
const drainSinks = 5 * time.Second

// events is the recording: ring, pump, journal, sinks. It is open from openRecording to Close, and
// journals from Begin on.
type events struct {
	*emitter.Recorder
	log      zerolog.Logger
	ring     *ring.Ring
	journal  *journal.Journal
	rows     *emitter.Revisions
	pump     *emitter.Pump
	shippers []*sink.Shipper
	closers  []func() error // of the sinks
	aside    *asideFile
	watchers watchers

	closed    atomic.Bool
	stopPump  context.CancelFunc
	stopShips context.CancelFunc
	pumped    chan struct{} // closed when the pump has ended
	pumpErr   error
	shipping  sync.WaitGroup
	ending    sync.Once
}

// Begin begins pumping and shipping.
func (e *events) Begin() {
	ctx, cancel := context.WithCancel(context.Background())
	e.stopPump, e.pumped = cancel, make(chan struct{})
	go func() {
		defer close(e.pumped)
		e.pumpErr = e.pump.Run(ctx)
	}()
	ships, stop := context.WithCancel(context.Background())
	e.stopShips = stop
	for _, s := range e.shippers {
		e.shipping.Go(func() {
			if err := s.Run(ships); err != nil {
				e.log.Error().Str("sink", s.Name()).Err(err).Msg("the sink's position could not be stored")
			}
		})
	}
}

// Checks are the recording's.
func (e *events) Checks() []health.Check {
	return []health.Check{{Name: "events", Fail: func() string {
		if e.closed.Load() {
			return "the event ring is closed"
		}
		return ""
	}}}
}

// Sinks are where events go and how that goes.
func (e *events) Sinks() []admin.Sink {
	out := []admin.Sink{}
	for _, s := range e.shippers {
		x := admin.Sink{Name: s.Name(), State: "ok"}
		if err := s.State(); err != nil {
			x.State, x.Detail = "retrying", err.Error()
		}
		out = append(out, x)
	}
	return out
}

// Drain empties the ring into the journal, then waits for the sinks.
func (e *events) Drain(ctx context.Context) error {
	e.stopPump()
	select {
	case <-e.pumped:
	case <-ctx.Done():
		return errors.Join(errors.New("records are left in the ring for the next start"), ctx.Err())
	}
	errs := []error{e.pumpErr}
	within, cancel := context.WithTimeout(ctx, drainSinks)
	defer cancel()
	for _, s := range e.shippers {
		errs = append(errs, s.Drain(within))
	}
	return errors.Join(errs...)
}

// Close ends everything and lets go of the files. What is in the ring stays there for the next start.
func (e *events) Close() {
	e.ending.Do(func() {
		e.closed.Store(true)
		if e.stopPump != nil {
			e.stopPump()
			e.stopShips()
			<-e.pumped
			e.shipping.Wait()
		}
		for _, c := range e.closers {
			e.closing("sink", c())
		}
		if e.journal != nil {
			e.closing("journal", e.journal.Close())
		}
		if e.aside != nil {
			e.closing("unreadable records", e.aside.close())
		}
		if e.ring != nil {
			e.closing("ring", e.ring.Close())
		}
	})
}

func (e *events) closing(what string, err error) {
	if err != nil {
		e.log.Error().Err(err).Msg("closing the " + what)
	}
}
