package immune

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"thymus/pdp"
)

// Severity of an immune event.
type Severity string

// Type of an immune event.
type Type string

// The severities and types of CONTRACT 5.
const (
	Info     Severity = "INFO"
	Warning  Severity = "WARNING"
	Critical Severity = "CRITICAL"

	PolicyViolation        Type = "POLICY_VIOLATION"
	ErrorSpike             Type = "ERROR_SPIKE"
	SelfHealingAction      Type = "SELF_HEALING_ACTION"
	ResourceExhaustion     Type = "RESOURCE_EXHAUSTION"
	AgentFailure           Type = "AGENT_FAILURE"
	PerformanceDegradation Type = "PERFORMANCE_DEGRADATION"
)

// Severities lists the names, least first.
func Severities() []Severity { return []Severity{Info, Warning, Critical} }

// Types lists the names.
func Types() []Type {
	return []Type{
		PolicyViolation, ErrorSpike, SelfHealingAction, ResourceExhaustion, AgentFailure, PerformanceDegradation,
	}
}

// Event is one immune event. Times are Unix seconds.
type Event struct {
	ID          int64           `json:"event_id"`
	Severity    Severity        `json:"severity"`
	Type        Type            `json:"type"`
	Category    string          `json:"category"` // the type in lower case
	Message     string          `json:"message"`
	AgentID     string          `json:"agent_id,omitempty"`
	Module      string          `json:"module,omitempty"`
	Meta        json.RawMessage `json:"meta,omitempty"`
	PublishedAt float64         `json:"published_at"`
}

// Report is what an event is made of.
type Report struct {
	Severity    Severity
	Type        Type
	Message     string
	AgentID     string
	Module      string
	Meta        json.RawMessage // a JSON object or nil
	Action      string          // of self-protection; then immune.self_protection_triggered follows
	Correlation string          // what reported it, for its events; empty without
}

// FieldError is a report that cannot be taken, and which field is at fault.
type FieldError struct {
	Field  string
	Detail string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// Bounds of a report's fields, in bytes.
const (
	maxName    = 256
	maxMessage = 4096
	maxMeta    = 16 << 10
)

func (r *Report) check() error {
	switch {
	case !slices.Contains(Severities(), r.Severity):
		return &FieldError{"severity", "expected one of INFO, WARNING, CRITICAL"}
	case !slices.Contains(Types(), r.Type):
		return &FieldError{"type", "expected one of " + names(Types())}
	case r.Message == "" || len(r.Message) > maxMessage:
		return &FieldError{"message", fmt.Sprintf("expected 1 to %d bytes", maxMessage)}
	case len(r.AgentID) > maxName:
		return &FieldError{"agent_id", fmt.Sprintf("expected at most %d bytes", maxName)}
	case len(r.Module) > maxName:
		return &FieldError{"module", fmt.Sprintf("expected at most %d bytes", maxName)}
	case len(r.Meta) > maxMeta:
		return &FieldError{"meta", fmt.Sprintf("expected at most %d bytes", maxMeta)}
	}
	if r.Meta != nil {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(r.Meta, &m); err != nil || m == nil {
			return &FieldError{"meta", "expected an object"}
		}
	}
	return nil
}

func names(ts []Type) string {
	s := make([]string, len(ts))
	for i, t := range ts {
		s[i] = string(t)
	}
	return strings.Join(s, ", ")
}

// seconds is a time as events give it: Unix seconds, exact to the microsecond.
func seconds(ns int64) float64 { return float64(ns/1000) / 1e6 }

// published makes the events of a new immune event: published, critical where it is, and the act of self-protection.
func published(e *Event, action string, now int64) []pdp.Event {
	out := []pdp.Event{wire(e, "immune.event_published", "", "published_at", now)}
	if e.Severity == Critical {
		out = append(out, wire(e, "immune.critical_event", "", "critical_at", now))
	}
	if action != "" {
		out = append(out, wire(e, "immune.self_protection_triggered", action, "triggered_at", now))
	}
	return out
}

// wire is an event about e with the time under the given name; members in the order of CONTRACT 6.
func wire(e *Event, typ, action, at string, now int64) pdp.Event {
	p := strconv.AppendInt([]byte(`{"event_id":`), e.ID, 10)
	add := func(name, v string) {
		p = append(p, `,"`+name+`":`...)
		p = pdp.AppendString(p, v)
	}
	add("severity", string(e.Severity))
	add("type", string(e.Type))
	add("category", e.Category)
	add("message", e.Message)
	if e.AgentID != "" {
		add("agent_id", e.AgentID)
	}
	if e.Module != "" {
		add("module", e.Module)
	}
	if e.Meta != nil {
		p = append(append(p, `,"meta":`...), e.Meta...)
	}
	if action != "" {
		add("action", action)
	}
	return pdp.Event{Time: now, Source: pdp.SourceImmune, Type: typ, Key: e.AgentID, Payload: stamp(p, at, now)}
}

// correlated gives events the correlation of what asked for them.
func correlated(about []pdp.Event, correlation string) []pdp.Event {
	for i := range about {
		about[i].Correlation = correlation
	}
	return about
}

func changed(e *Event, old Severity, now int64) pdp.Event {
	p := strconv.AppendInt([]byte(`{"event_id":`), e.ID, 10)
	p = append(p, `,"old_severity":"`+string(old)+`","new_severity":"`+string(e.Severity)+`"`...)
	return pdp.Event{
		Time: now, Source: pdp.SourceImmune, Type: "immune.severity_changed", Key: e.AgentID,
		Payload: stamp(p, "changed_at", now),
	}
}

func stamp(p []byte, name string, now int64) []byte {
	p = append(p, `,"`+name+`":`...)
	return append(strconv.AppendFloat(p, seconds(now), 'f', 6, 64), '}')
}
