package emitter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"thymus/emitter/ring"
	"thymus/pdp"
)

// Recorder puts records into the ring. It may be used by any number of goroutines at once; it neither blocks nor, in
// steady state, allocates.
type Recorder struct {
	ring *ring.Ring
	bufs sync.Pool
}

// keepBuffer is how large a buffer may be to be used again, in bytes.
const keepBuffer = 64 << 10

// NewRecorder makes one for a ring.
func NewRecorder(r *ring.Ring) *Recorder {
	return &Recorder{ring: r, bufs: sync.Pool{New: func() any {
		b := make([]byte, 0, 512)
		return &b
	}}}
}

// Record keeps r as a record of class c. False means that the ring refused it, and counted the refusal.
func (r *Recorder) Record(c pdp.Class, rec *pdp.Record) bool {
	p := r.bufs.Get().(*[]byte)
	b := pdp.AppendRecord((*p)[:0], rec)
	ok := mutation("no-append") || r.ring.Append(c, b)
	r.put(p, b)
	return ok
}

func (r *Recorder) put(p *[]byte, b []byte) {
	if cap(b) <= keepBuffer {
		*p = b[:0]
		r.bufs.Put(p)
	}
}

// ErrShed says that the ring refused an event; the refusal is counted.
var ErrShed = errors.New("the event could not be recorded: the ring is full")

// maxPayload leaves room for the envelope around a payload, in bytes.
const maxPayload = MaxEvent - 1<<10

// EventError says why an event is none. Nothing was recorded or counted.
type EventError struct {
	Type   string
	Reason string
}

func (e *EventError) Error() string { return fmt.Sprintf("event %q: %s", e.Type, e.Reason) }

// Publish keeps an event of the planes as a record of class c. The payload is lent for the call. Errors: *EventError,
// ErrShed.
func (r *Recorder) Publish(c pdp.Class, e *pdp.Event) error {
	switch {
	case e.Type == "" || len(e.Type) > pdp.MaxName:
		return &EventError{e.Type, fmt.Sprintf("type of %d bytes, 1 to %d expected", len(e.Type), pdp.MaxName)}
	case e.Source >= pdp.Sources:
		return &EventError{e.Type, fmt.Sprintf("source %d is none", e.Source)}
	case len(e.Correlation) > pdp.MaxName:
		return &EventError{e.Type, fmt.Sprintf("correlation of %d bytes, at most %d expected", len(e.Correlation), pdp.MaxName)}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, e.Payload); err != nil || compact.Len() == 0 || compact.Bytes()[0] != '{' {
		return &EventError{e.Type, "the payload is no JSON object"}
	}
	if compact.Len() > maxPayload {
		return &EventError{e.Type, fmt.Sprintf("payload of %d bytes, at most %d expected", compact.Len(), maxPayload)}
	}
	x := *e
	x.Payload = compact.Bytes()
	p := r.bufs.Get().(*[]byte)
	b := pdp.AppendEvent((*p)[:0], &x)
	ok := r.ring.Append(c, b)
	r.put(p, b)
	if !ok {
		return ErrShed
	}
	return nil
}
