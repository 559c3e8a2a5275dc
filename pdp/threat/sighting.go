package threat

import (
	"context"
	"fmt"
	"time"

	"thymus/pdp"
)

// Sighting is what a detector has seen of one incident so far. It says the whole and not the difference: the same
// sighting twice, after a restart for instance, changes nothing the second time.
type Sighting struct {
	Report
	Incident string // names the incident, at most 512 bytes: one incident is one threat
	Count    int    // how often it was seen since it began, at least 1
	At       int64  // when it was last seen, Unix nanoseconds
	Reason   string // of a rise in severity
	// Common, at most 1,024 bytes, names what sidecars that share a registry call alike, where each has its own name for
	// the incident: what one of them sees is the incident that another has, if that has been quiet for no longer than
	// Quiet. Empty: nobody else sees it.
	Common string
	Quiet  time.Duration
}

// Raiser makes threats of sightings.
type Raiser interface {
	// Raise makes the incident's threat, or raises its count and severity; neither ever falls. Where its threat is
	// final, a sighting from before its end changes nothing, and a later one is another threat. made says that there is
	// a new one.
	Raise(ctx context.Context, s Sighting) (t Threat, made bool, err error)
}

const (
	maxIncident = 512
	maxCommon   = 1024
)

func (s *Sighting) check() error {
	if s.Incident == "" || len(s.Incident) > maxIncident {
		return &FieldError{"incident", fmt.Sprintf("expected 1 to %d bytes", maxIncident)}
	}
	if len(s.Common) > maxCommon {
		return &FieldError{"common", fmt.Sprintf("expected at most %d bytes", maxCommon)}
	}
	if s.Count < 1 {
		return &FieldError{"count", "expected at least 1"}
	}
	return s.Report.check()
}

// apply says what a sighting makes of cur, the incident's newest threat (nil: none): a new threat, a changed one, or
// with no events and the same version, nothing.
func (s *Sighting) apply(cur *Threat, now time.Time) (t Threat, made bool, events []pdp.Event, err error) {
	if cur == nil || cur.Status.Final() && seconds(s.At) > cur.UpdatedAt {
		t, events, err = newThreat(s.Report, now)
		t.Incident, t.Count = s.Incident, s.Count
		return t, true, events, err
	}
	t = *cur
	if t.Status.Final() {
		return t, false, nil, nil
	}
	c := Change{Seen: max(s.Count-t.Count, 0)}
	if s.Severity.Rank() > t.Severity.Rank() {
		c.Severity, c.Reason = &s.Severity, &s.Reason
	}
	events, err = c.Apply(&t, now.UnixNano())
	return t, false, events, err
}
