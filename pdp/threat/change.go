package threat

import (
	"errors"
	"fmt"
	"slices"

	"thymus/pdp"
)

// Errors of the registry; compare with errors.Is.
var (
	ErrNotFound = errors.New("no such threat")
	ErrConflict = errors.New("the threat's lifecycle forbids it") // 409
	ErrAway     = errors.New("the threat store is away")          // 503
	ErrStale    = errors.New("the threat was changed meanwhile")
)

// Change is what a PATCH asks for; nil leaves a field as it is.
type Change struct {
	Status     *Status
	Severity   *Severity
	Reason     *string // of a change of severity
	Resolution *string
	// Correlation is what asked for the change, for its events.
	Correlation string
	Seen        int // how many more times the incident was seen
}

// Apply changes t at a time in Unix nanoseconds and returns the events that the change makes, in their order: none
// where nothing changed that an event reports.
func (c *Change) Apply(t *Threat, now int64) ([]pdp.Event, error) {
	if err := c.check(t); err != nil {
		return nil, err
	}
	w := eventWriter{now: now, correlation: c.Correlation}
	old := *t
	if c.Status != nil {
		t.Status = *c.Status
	}
	if c.Severity != nil {
		t.Severity = *c.Severity
	}
	if c.Resolution != nil {
		t.Resolution = *c.Resolution
	}
	t.Count += c.Seen
	if t.Status != old.Status {
		w.statusChanged(t, old.Status)
	}
	reason := ""
	if c.Reason != nil {
		reason = *c.Reason
	}
	if t.Severity != old.Severity {
		w.severityChanged(t, old.Severity, reason)
		if t.Severity.Rank() > old.Severity.Rank() {
			w.severityRose(t, old.Severity, reason)
		}
	}
	if t.Status != old.Status && t.Status == Escalated {
		w.statusEscalated(t, old.Status)
	}
	if t.Status.ended() && t.MitigatedAt == nil {
		at := seconds(now)
		t.MitigatedAt = &at
		w.mitigated(t)
	}
	if len(w.events) > 0 || t.Resolution != old.Resolution || t.Count != old.Count {
		t.UpdatedAt = seconds(now)
		t.Version++
	}
	return w.events, nil
}

// check refuses unknown names, backward moves and any change of what is final. Asking for what is already so is no
// change.
func (c *Change) check(t *Threat) error {
	if c.Status != nil && c.Status.rank() < 0 {
		return &FieldError{"status", "expected one of " + list(Statuses())}
	}
	if c.Severity != nil && c.Severity.Rank() < 0 {
		return &FieldError{"severity", "expected one of " + list(Severities())}
	}
	if c.Resolution != nil && len(*c.Resolution) > maxDescription {
		return &FieldError{"resolution", fmt.Sprintf("expected at most %d bytes", maxDescription)}
	}
	if c.Reason != nil && len(*c.Reason) > maxDescription {
		return &FieldError{"reason", fmt.Sprintf("expected at most %d bytes", maxDescription)}
	}
	if t.Status.Final() && (c.Status != nil && *c.Status != t.Status || c.Severity != nil && *c.Severity != t.Severity ||
		c.Resolution != nil && *c.Resolution != t.Resolution) {
		return fmt.Errorf("%w: it is %s, which is final", ErrConflict, t.Status)
	}
	if c.Status != nil && c.Status.rank() < t.Status.rank() {
		return fmt.Errorf("%w: %s to %s is a move back", ErrConflict, t.Status, *c.Status)
	}
	return nil
}

// Filter selects threats; empty lists select all.
type Filter struct {
	Statuses   []Status
	Severities []Severity
}

func (f *Filter) takes(t *Threat) bool {
	return (len(f.Statuses) == 0 || slices.Contains(f.Statuses, t.Status)) &&
		(len(f.Severities) == 0 || slices.Contains(f.Severities, t.Severity))
}

// Stats counts what the registry holds. Names without a threat are there with 0.
type Stats struct {
	Total      int              `json:"total"`
	ByStatus   map[Status]int   `json:"by_status"`
	BySeverity map[Severity]int `json:"by_severity"`
	ByType     map[string]int   `json:"by_type"`
	Open       map[Severity]int `json:"-"` // of those that do harm yet: neither mitigated nor final
}

func newStats() Stats {
	s := Stats{ByStatus: map[Status]int{}, BySeverity: map[Severity]int{}, ByType: map[string]int{}, Open: map[Severity]int{}}
	for _, n := range Statuses() {
		s.ByStatus[n] = 0
	}
	for _, n := range Severities() {
		s.BySeverity[n] = 0
	}
	return s
}

func (s *Stats) add(t *Threat) {
	s.Total++
	s.ByStatus[t.Status]++
	s.BySeverity[t.Severity]++
	s.ByType[t.Type]++
	if !t.Status.ended() {
		s.Open[t.Severity]++
	}
}
