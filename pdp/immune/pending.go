package immune

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Findings that wait are kept as JSON, in the order in which they are handled:
//
//	{"version":1,"findings":[{"Incident":"...","At":...,...},...]}
//
// Names in it are as they are, so that who keeps it where masks matter seals it.
type kept struct {
	Version  int       `json:"version"`
	Findings []Finding `json:"findings"`
}

const keptVersion = 1

// ErrPending is what every error of Restore is.
var ErrPending = errors.New("not what a responder waits for")

// Pending is everything that was offered and is not done with: what is being handled, what waits for its turn, and what
// waits for its store; nil where that is nothing. Once Run has ended it is what is to be given to the next life's Restore.
func (r *Responder) Pending() []byte {
	k := kept{Version: keptVersion}
	r.mu.Lock() // what is handled goes from the queue to those that wait for their store, and is seen in one or both
	queued := r.queue.all()
	for _, key := range slices.Sorted(maps.Keys(r.retry)) { // the same are the same bytes
		k.Findings = append(k.Findings, *r.retry[key])
	}
	r.mu.Unlock()
	if k.Findings = append(k.Findings, queued...); len(k.Findings) == 0 {
		return nil
	}
	b, err := json.Marshal(&k)
	if err != nil {
		return nil // metadata that is no JSON; nobody makes such
	}
	return b
}

// Restore offers what Pending gave in an earlier life, and says how many that were. The same finding twice does nothing
// the second time. What was found before oldest, Unix nanoseconds, is told, and not acted upon any more: who misbehaved
// before a stop of a day is not quarantined for it now. Call it before anything else is offered. The error is ErrPending.
func (r *Responder) Restore(b []byte, oldest time.Time) (int, error) {
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrPending, err)
	}
	if k.Version != keptVersion {
		return 0, fmt.Errorf("%w: version %d, %d expected", ErrPending, k.Version, keptVersion)
	}
	for i := range k.Findings {
		f := &k.Findings[i]
		if f.At < oldest.UnixNano() {
			f.Candidate = false
		}
		r.Offer(f)
	}
	return len(k.Findings), nil
}
