package cli

import (
	"time"

	"thymus/emitter/journal"
	"thymus/internal/metrics/prom"
	"thymus/pdp"
)

// Export adds the metrics of CONTRACT 6, and those that explain them.
func (e *events) Export(r *prom.Registry) {
	e.exportRecords(r)
	e.exportSinks(r)
	e.exportJournal(r)
}

// exportRecords is the first equation: offered = pumped + pending + shed. Offered, pending and shed are the ring's counts
// and pumped is the journal's, so that the equation says something.
func (e *events) exportRecords(r *prom.Registry) {
	byClass := func(get func() [pdp.Classes]uint64) func(prom.Emit) {
		return func(emit prom.Emit) {
			n := get()
			for c := range n {
				emit(float64(n[c]), pdp.Class(c).String())
			}
		}
	}
	class := []string{"class"}
	r.Counter("thymus_records_offered_total", "Records that decisions and planes offered to the ring.", class, byClass(e.ring.Offered))
	r.Counter("thymus_records_pumped_total", "Records that are in the journal.", class,
		byClass(func() [pdp.Classes]uint64 { return e.journal.Last().Pumped }))
	r.Gauge("thymus_records_pending", "Records that are in the ring and not in the journal yet.", class, byClass(e.ring.Pending))
	r.Counter("thymus_records_shed_total", "Records that the ring refused because its class's share was full.", class, byClass(e.ring.Shed))
	one := func(get func() float64) func(prom.Emit) { return func(emit prom.Emit) { emit(get()) } }
	r.Gauge("thymus_records_oldest_pending_seconds", "Age of the oldest record that the pump has taken up and not journaled; 0 for none.",
		nil, one(func() float64 { return e.pump.OldestPending(time.Now()).Seconds() }))
	r.Counter("thymus_records_unreadable_total", "Records that could not be made events; they lie in a file of their own.", nil,
		one(func() float64 { return float64(e.pump.Unreadable()) }))
	r.Counter("thymus_records_unresolved_total", "Records by rules whose rows are not on record; their events say so.", nil,
		one(func() float64 { return float64(e.pump.Unresolved()) }))
	r.Counter("thymus_findings_apart_total", "Batches that were journaled before what was found in them was stored: it is in a later one.", nil,
		one(func() float64 { return float64(e.pump.Apart()) }))
	r.Gauge("thymus_ring_backlog_bytes", "Bytes of the ring in use.", nil, one(func() float64 { return float64(e.ring.Backlog()) }))
	r.Gauge("thymus_ring_capacity_bytes", "Bytes that the ring holds.", nil, one(func() float64 { return float64(e.ring.Capacity()) }))
}

// exportSinks is the second: journaled = delivered + pending + expired + refused.
func (e *events) exportSinks(r *prom.Registry) {
	bySink := func(get func(c journal.Counters) uint64) func(prom.Emit) {
		return func(emit prom.Emit) {
			for _, s := range e.shippers {
				emit(float64(get(s.Counters())), s.Name())
			}
		}
	}
	name := []string{"sink"}
	r.Counter("thymus_events_journaled_total", "Events in the journal that are the sink's.", name,
		bySink(func(c journal.Counters) uint64 { return c.Journaled }))
	r.Counter("thymus_events_delivered_total", "Events that the sink acknowledged.", name,
		bySink(func(c journal.Counters) uint64 { return c.Delivered }))
	r.Gauge("thymus_events_pending", "Events that wait for the sink.", name,
		bySink(func(c journal.Counters) uint64 { return c.Pending }))
	r.Counter("thymus_events_expired_total", "Events that retention dropped before the sink had them.", name,
		bySink(func(c journal.Counters) uint64 { return c.Expired }))
	r.Counter("thymus_events_refused_total", "Events that the sink will never take; they lie in a file of their own.", name,
		bySink(func(c journal.Counters) uint64 { return c.Refused }))
	r.Gauge("thymus_sink_up", "1 while the sink takes events, 0 while it is retried.", name, func(emit prom.Emit) {
		for _, s := range e.shippers {
			up := 1.0
			if s.State() != nil {
				up = 0
			}
			emit(up, s.Name())
		}
	})
}

func (e *events) exportJournal(r *prom.Registry) {
	stat := func(get func(s journal.Stats) float64) func(prom.Emit) {
		return func(emit prom.Emit) { emit(get(e.journal.Stats())) }
	}
	r.Gauge("thymus_journal_up", "1 while the journal takes events, 0 while it is retried.", nil, func(emit prom.Emit) {
		if e.pump.Stuck() != nil {
			emit(0)
			return
		}
		emit(1)
	})
	r.Gauge("thymus_journal_bytes", "Bytes of the journal's segments.", nil, stat(func(s journal.Stats) float64 { return float64(s.Bytes) }))
	r.Gauge("thymus_journal_segments", "Segments of the journal.", nil, stat(func(s journal.Stats) float64 { return float64(s.Segments) }))
	r.Gauge("thymus_journal_next_event", "Number that the next event will have.", nil, stat(func(s journal.Stats) float64 { return float64(s.Next) }))
	r.Counter("thymus_journal_lost_total", "Events that a failure of the system took from the journal.", nil,
		stat(func(s journal.Stats) float64 { return float64(s.Lost) }))
	r.Counter("thymus_journal_sync_errors_total", "Failed fsyncs of the journal.", nil,
		stat(func(s journal.Stats) float64 { return float64(s.SyncErrors) }))
}
