package cli

import (
	"context"
	"time"

	"thymus/internal/metrics/prom"
	"thymus/pdp/threat"
)

// export adds the metrics of the loop.
func (m *immunity) export(r *prom.Registry) {
	one := func(get func() float64) func(prom.Emit) { return func(emit prom.Emit) { emit(get()) } }
	r.Gauge("thymus_quarantined", "Subjects whose every call is denied.", nil,
		one(func() float64 { return float64(m.s.stored.quarantine.Count()) }))
	r.Gauge("thymus_threats_open", "Threats that are neither mitigated nor resolved nor closed, by severity.", []string{"severity"},
		func(emit prom.Emit) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			st, err := m.s.stored.threats.Stats(ctx)
			if err != nil {
				return
			}
			for _, s := range threat.Severities() {
				emit(float64(st.Open[s]), string(s))
			}
		})
	r.Gauge("thymus_threat_store_up", "1 while threats can be changed, 0 while their store is away.", nil, one(func() float64 {
		if m.s.stored.redis != nil && m.s.stored.redis.Away() != nil {
			return 0
		}
		return 1
	}))
	r.Gauge("thymus_active_subjects", "Subjects seen within the guard rail's window.", nil,
		one(func() float64 { return float64(m.watcher.Active()) }))
	r.Gauge("thymus_brown_out_level", "What is left out: 0 nothing, 1 the detectors that cost most, 2 records of plain allows too.", nil,
		one(func() float64 { return float64(m.brown.Level()) }))
	r.Counter("thymus_protection_acts_total", "Acts of self-protection.", nil, one(func() float64 { return float64(m.responder.Acts()) }))
	r.Counter("thymus_protection_withheld_total", "Acts that the mode, an exemption or a bound kept from happening.", nil,
		one(func() float64 { return float64(m.responder.Withheld()) }))
	r.Counter("thymus_findings_lost_total", "Findings that found no room to wait for their store.", nil,
		one(func() float64 { return float64(m.responder.Lost()) }))
}
