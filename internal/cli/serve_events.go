package cli

import (
	"context"

	"thymus/internal/health"
	"thymus/internal/metrics/prom"
	"thymus/pdp/admin"
	"thymus/pdp/engine"
	"thymus/rules"
)

// recording is what becomes of decisions: ring, journal and sinks, as serve sees them. Its methods but Record are called
// by serve's own goroutines, one at a time.
type recording interface {
	engine.Recorder
	// Adopt numbers a set's snapshot and keeps its rule rows, before a decision can use it. old is nil at the start;
	// else what a reload changed becomes events. An error keeps the set from being used.
	Adopt(old, set *rules.Set) error
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

// openRecording opens ring, journal and sinks; nil is without any.
func openRecording(*sidecar) (recording, error) { return nil, nil }
