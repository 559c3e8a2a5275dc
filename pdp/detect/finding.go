package detect

import (
	"bytes"
	"strings"

	"thymus/pdp/immune"
	"thymus/pdp/threat"
)

// Detector is one of the detectors.
type Detector uint8

// The detectors. Those up to SlowProbe look at subjects and find threats; the others find what is wrong with the
// sidecar, its policies or its surroundings, and make immune events.
const (
	RepeatedDenials Detector = iota
	Probing
	RoleChange
	RateAnomaly
	FirstSeenAction
	Decoy
	PathConfusion
	SlowProbe
	ErrorSpike
	LatencyDrift
	RingPressure
	DiskPressure
	Detectors = 12

	ofSubjects = 8 // detectors that look at subjects
)

var detectorNames = [Detectors]string{
	"repeated_denials", "probing", "role_change", "rate_anomaly", "first_seen_action", "decoy_touched", "path_confusion",
	"slow_probing", "error_spike", "latency_drift", "ring_pressure", "disk_pressure",
}

// String is the detector's name in threats, metadata and documentation.
func (d Detector) String() string {
	if d < Detectors {
		return detectorNames[d]
	}
	return ""
}

// Change says what is new about an incident.
type Change uint8

// The changes. Every incident begins with Opened.
const (
	Opened    Change = iota // make the threat or the immune event
	Again                   // more of the same: Count
	Raised                  // Severity rose (and Count)
	Released                // it was held back, and may be quarantined now
	Withdrawn               // the policy is suspect, not the subject: undo the quarantine this incident caused
	Ended                   // of the policy being suspect, and of pressure: it is over
)

var changeNames = [...]string{"opened", "again", "raised", "released", "withdrawn", "ended"}

// String is the change's name.
func (c Change) String() string {
	if int(c) < len(changeNames) {
		return changeNames[c]
	}
	return ""
}

// Finding is what a detector has to say. Incident names the incident: the first Finding of an incident makes one threat
// or immune event, later ones change it. Strings and Metadata are lent for the call.
type Finding struct {
	Time     int64 // Unix nanoseconds in whole microseconds, of the record that caused it
	Detector Detector
	Change   Change
	Incident string // ASCII, at most 64 bytes; the same again when the same records are read again

	// Threat is empty for what is an immune event and no threat; Immune the other way round.
	Threat threat.Severity
	Immune immune.Severity
	Kind   immune.Type // with Immune

	SubjectType string // of threats
	SubjectID   string
	Count       uint64 // what the incident has counted so far
	Description string // a sentence that names no value of the request, so that masks need not look into it
	Metadata    []byte // a JSON object; members are called as in events, so that masks find them
	// Candidate says that, as far as detection can tell, the subject and not the policy is at fault: self-protection may
	// quarantine it, within its own bounds.
	Candidate bool
	// Suspect is the policy being suspect: the guard rail's own immune event, about Detector.
	Suspect bool
}

// Type is the threat's type, or the immune event's.
func (f *Finding) Type() string {
	if f.Threat != "" {
		return f.Detector.String()
	}
	return string(f.Kind)
}

// Severity is the threat's severity, or the immune event's.
func (f *Finding) Severity() string {
	if f.Threat != "" {
		return string(f.Threat)
	}
	return string(f.Immune)
}

// Clone is a copy that may be kept.
func (f *Finding) Clone() Finding {
	c := *f
	c.Incident, c.Description = strings.Clone(f.Incident), strings.Clone(f.Description)
	c.SubjectType, c.SubjectID = strings.Clone(f.SubjectType), strings.Clone(f.SubjectID)
	c.Metadata = bytes.Clone(f.Metadata)
	return c
}

var severities = [...]threat.Severity{threat.Low, threat.Medium, threat.High, threat.Critical}

// ranks of severities.
const (
	low = iota
	medium
	high
	critical
)
