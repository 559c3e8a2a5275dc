package threat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Severity of a threat, least first in Severities.
type Severity string

// Status of a threat.
type Status string

// The severities and statuses.
const (
	Low      Severity = "LOW"
	Medium   Severity = "MEDIUM"
	High     Severity = "HIGH"
	Critical Severity = "CRITICAL"

	Open          Status = "OPEN"
	Investigating Status = "INVESTIGATING"
	Escalated     Status = "ESCALATED"
	Mitigated     Status = "MITIGATED"
	Resolved      Status = "RESOLVED"
	Closed        Status = "CLOSED"
)

// Severities and Statuses list the names in their order.
func Severities() []Severity { return []Severity{Low, Medium, High, Critical} }

// Statuses lists the names in the order in which a threat may move.
func Statuses() []Status {
	return []Status{Open, Investigating, Escalated, Mitigated, Resolved, Closed}
}

// Rank is the place in the order of severities, from 0; -1 for an unknown name.
func (s Severity) Rank() int { return slices.Index(Severities(), s) }

func (s Status) rank() int { return slices.Index(Statuses(), s) }

// Final says whether nothing about the threat changes any more.
func (s Status) Final() bool { return s == Resolved || s == Closed }

// ended says whether the threat does no harm any more: the statuses that make threat.mitigated.
func (s Status) ended() bool { return s == Mitigated || s == Resolved || s == Closed }

// Threat is one entry of the registry. Times are Unix seconds.
type Threat struct {
	ID          string          `json:"threat_id"`
	Type        string          `json:"type"`
	Source      string          `json:"source"`
	Severity    Severity        `json:"severity"`
	Status      Status          `json:"status"`
	Description string          `json:"description,omitempty"`
	Metadata    json.RawMessage `json:"metadata"`
	Count       int             `json:"count"` // how often the incident was seen
	DetectedAt  float64         `json:"detected_at"`
	UpdatedAt   float64         `json:"updated_at"`
	MitigatedAt *float64        `json:"mitigated_at,omitempty"`
	Resolution  string          `json:"resolution,omitempty"`
	Incident    string          `json:"incident,omitempty"` // what a detector calls it; empty for what was reported by hand
	Version     uint64          `json:"version"`            // counts changes from 1: what a compare-and-set compares
}

// Bounds of a report's fields, in bytes.
const (
	maxName        = 256
	maxDescription = 4096
	maxMetadata    = 16 << 10
)

// FieldError is a report or a change that cannot be taken, and which field is at fault.
type FieldError struct {
	Field  string
	Detail string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// Report is what a threat is made of.
type Report struct {
	Type        string
	Source      string
	Severity    Severity
	Description string
	Metadata    json.RawMessage // a JSON object; nil is {}
	Correlation string          // what reported it, for its events; empty without
}

func (r *Report) check() error {
	switch {
	case r.Type == "" || len(r.Type) > maxName:
		return &FieldError{"type", fmt.Sprintf("expected 1 to %d bytes", maxName)}
	case r.Source == "" || len(r.Source) > maxName:
		return &FieldError{"source", fmt.Sprintf("expected 1 to %d bytes", maxName)}
	case r.Severity.Rank() < 0:
		return &FieldError{"severity", "expected one of " + list(Severities())}
	case len(r.Description) > maxDescription:
		return &FieldError{"description", fmt.Sprintf("expected at most %d bytes", maxDescription)}
	case len(r.Metadata) > maxMetadata:
		return &FieldError{"metadata", fmt.Sprintf("expected at most %d bytes", maxMetadata)}
	}
	if len(r.Metadata) == 0 {
		r.Metadata = json.RawMessage("{}")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(r.Metadata, &m); err != nil || m == nil {
		return &FieldError{"metadata", "expected an object"}
	}
	return nil
}

func list[T ~string](names []T) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(n))
	}
	return b.String()
}
