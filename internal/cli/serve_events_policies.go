package cli

import (
	"sync/atomic"

	"thymus/emitter"
	"thymus/pdp"
)

// Adopt keeps the rule rows of a set that is about to decide. Where they cannot be kept the set decides all the same:
// its records then carry their texts themselves.
func (e *events) Adopt(set *pdp.Snapshot) error {
	if err := e.rows.Persist(set); err != nil {
		e.log.Error().Err(err).Msg("rule rows cannot be stored; records carry them, and are larger")
	}
	return nil
}

// roomForChange is what must be free in the ring for a change of the management API, in bytes: the largest event.
const roomForChange = emitter.MaxEvent

// Room says whether the events of a change would be taken now.
func (e *events) Room(pdp.Class) bool { return e.ring.Capacity()-e.ring.Backlog() >= roomForChange }

// Owed is the largest number of an owed event that the journal has.
func (e *events) Owed() uint64 { return e.pump.Owed() }

// Watch adds what sees each record on its way to the journal.
func (e *events) Watch(d emitter.Detector) { e.watchers.add(d) }

// watchers are the pump's detectors, in the order in which they were added. The pump reads them while they are added.
type watchers struct {
	list atomic.Pointer[[]emitter.Detector]
}

func (w *watchers) add(d emitter.Detector) {
	var all []emitter.Detector
	if l := w.list.Load(); l != nil {
		all = append(all, *l...)
	}
	all = append(all, d)
	w.list.Store(&all)
}

// Observe implements emitter.Detector.
func (w *watchers) Observe(rec *pdp.Record, emit func(*pdp.Event)) {
	l := w.list.Load()
	if l == nil {
		return
	}
	for _, d := range *l {
		d.Observe(rec, emit)
	}
}

// Telling implements emitter.Telling.
func (w *watchers) Telling() bool {
	l := w.list.Load()
	if l == nil {
		return false
	}
	for _, d := range *l {
		if x, ok := d.(emitter.Telling); ok && x.Telling() {
			return true
		}
	}
	return false
}

// Keep implements emitter.Keeping.
func (w *watchers) Keep(end uint64) {
	l := w.list.Load()
	if l == nil {
		return
	}
	for _, d := range *l {
		if x, ok := d.(emitter.Keeping); ok {
			x.Keep(end)
		}
	}
}
