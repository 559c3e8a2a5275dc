package cli

import (
	"thymus/internal/metrics/prom"
	"thymus/pdp"
)

// export names the metrics of the decision path; those of events are the recording's own.
func (s *sidecar) export() {
	r, st := s.metrics, s.engine.Stats()
	r.Counter("thymus_decisions_total",
		"Decisions by effect and surface; effect none is a document of the Data API that says neither yes nor no.",
		[]string{"effect", "surface"}, func(emit prom.Emit) {
			for f := range pdp.Surface(pdp.Surfaces) {
				for e := pdp.None; e <= pdp.Deny; e++ {
					if n := st.Decisions(f, e); n > 0 || e != pdp.None && f <= pdp.SurfaceOPA {
						emit(float64(n), effectLabel(e), f.String())
					}
				}
			}
		})
	r.Counter("thymus_evaluation_errors_total", "Evaluations that failed, by kind; each of them denied.",
		[]string{"kind"}, func(emit prom.Emit) {
			for f := pdp.FaultBuiltin; f <= pdp.FaultInternal; f++ {
				emit(float64(st.Faults(f)), f.String())
			}
		})
	r.Histogram("thymus_evaluation_duration_seconds", "Time to evaluate and combine, without reading and writing.", nil,
		func(emit prom.EmitHistogram) { emit(st.Evaluation()) })
	r.Histogram("thymus_request_duration_seconds",
		"Time of a request from its last byte read to its answer ready, by surface; a batch is one request.",
		[]string{"surface"}, func(emit prom.EmitHistogram) {
			for f := range pdp.Surface(pdp.Surfaces) {
				if h, ok := s.mesh.Requests(f); ok {
					emit(h, f.String())
				} else if h, ok := s.data.Requests(f); ok {
					emit(h, f.String())
				}
			}
		})
	r.Gauge("thymus_policy_info", "The active set of policies; always 1.", []string{"revision"}, func(emit prom.Emit) {
		if snap := s.engine.Active(); snap != nil {
			emit(1, snap.Revision)
		}
	})
	r.Gauge("thymus_policies", "Enabled policies in the active set.", nil, func(emit prom.Emit) {
		if snap := s.engine.Active(); snap != nil {
			emit(float64(len(snap.Policies)))
		}
	})
	r.Counter("thymus_policy_reloads_total", "Reloads by result; after a failure the last good set stays.",
		[]string{"result"}, func(emit prom.Emit) {
			emit(float64(s.policies.good.Load()), "success")
			emit(float64(s.policies.bad.Load()), "failure")
		})
	s.exportEngine()
	s.exportConnections()
	if s.recording != nil {
		s.recording.Export(r)
	}
}

func (s *sidecar) exportConnections() {
	r := s.metrics
	r.Gauge("thymus_connections", "Open connections of the data plane.", nil,
		func(emit prom.Emit) { emit(float64(s.data.Connections())) })
	r.Counter("thymus_connections_total", "Connections of the data plane by what became of them at the door.",
		[]string{"result"}, func(emit prom.Emit) {
			c := s.data.Counts()
			emit(float64(c.Connections), "admitted")
			emit(float64(c.Refused), "limit")
			emit(float64(c.Strangers), "peer_uid")
		})
	r.Counter("thymus_extauthz_connections_ended_total", "gRPC connections of proxies that Thymus ended, by why: at the door by a limit or a uid, or because a call stopped arriving.",
		[]string{"reason"}, func(emit prom.Emit) {
			c := s.mesh.Counts()
			emit(float64(c.Refused), "refused")
			emit(float64(c.Stalled), "stalled")
		})
	r.Counter("thymus_panics_total", "Requests that ended in a panic; each was answered with an error.", nil,
		func(emit prom.Emit) {
			emit(float64(s.data.Counts().Panics + s.mesh.Counts().Panics + s.management.Panics() + s.diagnostics.Panics()))
		})
}

func effectLabel(e pdp.Effect) string {
	if e == pdp.None {
		return "none"
	}
	return e.String()
}
