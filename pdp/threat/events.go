package threat

import (
	"strconv"

	"thymus/pdp"
)

// eventWriter makes the events of one change. Payloads are those of CONTRACT 6, members in its order.
type eventWriter struct {
	now         int64
	correlation string
	events      []pdp.Event
}

// seconds is a time as events give it: Unix seconds, exact to the microsecond.
func seconds(ns int64) float64 { return float64(ns/1000) / 1e6 }

func appendSeconds(b []byte, s float64) []byte { return strconv.AppendFloat(b, s, 'f', 6, 64) }

type payload []byte

func (p payload) str(name, v string) payload {
	p = append(p, ',', '"')
	p = append(p, name...)
	p = append(p, '"', ':')
	return pdp.AppendString(p, v)
}

func (p payload) opt(name, v string) payload {
	if v == "" {
		return p
	}
	return p.str(name, v)
}

func (p payload) time(name string, ns int64) payload {
	return p.seconds(name, seconds(ns))
}

func (p payload) seconds(name string, s float64) payload {
	p = append(p, ',', '"')
	p = append(p, name...)
	p = append(p, '"', ':')
	return appendSeconds(p, s)
}

// begin opens a payload with the threat's id.
func begin(t *Threat) payload {
	p := append(payload(nil), `{"threat_id":`...)
	return pdp.AppendString(p, t.ID)
}

func (w *eventWriter) add(t *Threat, typ string, p payload) {
	w.events = append(w.events, pdp.Event{
		Time: w.now, Source: pdp.SourceThreat, Type: typ, Key: t.ID, Correlation: w.correlation, Payload: append(p, '}'),
	})
}

func (w *eventWriter) detected(t *Threat) {
	p := begin(t).str("type", t.Type).str("source", t.Source).str("severity", string(t.Severity)).
		str("status", string(t.Status)).opt("description", t.Description)
	p = append(append(p, `,"metadata":`...), t.Metadata...)
	w.add(t, "threat.detected", p.time("detected_at", w.now))
}

func (w *eventWriter) statusChanged(t *Threat, old Status) {
	w.add(t, "threat.status_changed", begin(t).str("type", t.Type).str("source", t.Source).
		str("severity", string(t.Severity)).str("old_status", string(old)).str("new_status", string(t.Status)).
		time("changed_at", w.now))
}

func (w *eventWriter) severityChanged(t *Threat, old Severity, reason string) {
	w.add(t, "threat.severity_changed", begin(t).str("old_severity", string(old)).
		str("new_severity", string(t.Severity)).str("reason", reason).time("changed_at", w.now))
}

func (w *eventWriter) severityRose(t *Threat, old Severity, reason string) {
	w.add(t, "threat.escalated", begin(t).str("type", t.Type).str("severity", string(t.Severity)).
		str("old_severity", string(old)).str("new_severity", string(t.Severity)).str("reason", reason).
		time("escalated_at", w.now))
}

func (w *eventWriter) statusEscalated(t *Threat, old Status) {
	w.add(t, "threat.escalated", begin(t).str("type", t.Type).str("severity", string(t.Severity)).
		str("old_status", string(old)).time("escalated_at", w.now))
}

func (w *eventWriter) mitigated(t *Threat) {
	w.add(t, "threat.mitigated", begin(t).str("type", t.Type).str("severity", string(t.Severity)).
		opt("resolution", t.Resolution).seconds("duration_seconds", seconds(w.now)-t.DetectedAt).
		time("mitigated_at", w.now))
}
