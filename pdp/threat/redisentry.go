package threat

import (
	"maps"
	"time"

	"thymus/pdp"
)

// entry is a threat as Redis holds it: with what each sidecar calls its incident, and how often it was seen there.
type entry struct {
	Threat
	Common string         `json:"common,omitempty"`
	Seen   map[string]int `json:"seen,omitempty"` // by incident, once more than one sidecar saw it
}

// maxSeen bounds how many incidents one threat may be; what comes then is another threat.
const maxSeen = 256

// commonPrefix sets common names apart from incidents', which begin with a letter or a digit.
const commonPrefix = "="

// takes says whether a sighting by a sidecar that has no name for this incident yet is of it.
func (e *entry) takes(s *Sighting) bool {
	return e != nil && len(e.Seen) < maxSeen && seconds(s.At-int64(s.Quiet)) <= e.UpdatedAt
}

// over says that a sighting of the incident is none of this threat, which has ended before.
func (e *entry) over(s *Sighting) bool { return e.Status.Final() && seconds(s.At) > e.UpdatedAt }

// sight says what a sighting makes of cur, as Sighting.apply does; counts of different sidecars add up.
func (cur *entry) sight(s *Sighting, now time.Time) (e entry, made bool, events []pdp.Event, err error) {
	if cur == nil || cur.Status.Final() {
		var t *Threat
		if cur != nil {
			t, e = &cur.Threat, *cur
		}
		e.Threat, made, events, err = s.apply(t, now)
		if made {
			e.Common, e.Seen = s.Common, nil
		}
		return e, made, events, err
	}
	e = *cur
	before, known := cur.Seen[s.Incident]
	if cur.Seen == nil && cur.Incident == s.Incident {
		before, known = cur.Count, true
	}
	whole := *s
	whole.Count = cur.Count + max(s.Count-before, 0)
	e.Threat, _, events, err = whole.apply(&cur.Threat, now)
	if cur.Seen != nil || !known {
		e.Seen = maps.Clone(cur.Seen)
		if e.Seen == nil {
			e.Seen = map[string]int{cur.Incident: cur.Count}
		}
		e.Seen[s.Incident] = max(s.Count, before)
	}
	return e, false, events, err
}
