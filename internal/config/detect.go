package config

import "time"

// Detect tunes the detectors. A detector that is not Enabled costs nothing.
type Detect struct {
	Denials       Escalation
	Probing       Threshold
	SlowProbing   SlowProbing
	RoleChange    Threshold
	Rate          Rate
	FirstSeen     FirstSeen
	PathConfusion Threshold
	Errors        Threshold
	Latency       Drift
	Pressure      Pressure
	Fleet         Fleet
	Quiet         time.Duration // without more of the same, after which a subject's next is another incident
	Subjects      int           // remembered at once
	Decoys        []string      // resources that nobody has a reason to touch; ending in *: all that begin so
}

// Threshold fires when a subject did something At times within Window.
type Threshold struct {
	Enabled  bool
	Window   time.Duration
	At       int
	Severity string
}

// SlowProbing is a Threshold of distinct things that are denied, where denials are Percent of what the subject asks for.
type SlowProbing struct {
	Threshold
	Percent int
}

// Escalation fires at MEDIUM, HIGH and CRITICAL after that many times within Window.
type Escalation struct {
	Enabled                bool
	Window                 time.Duration
	Medium, High, Critical int
}

// Rate fires when a subject's calls within Window are Deviations away from its own past, once Warmup has passed.
type Rate struct {
	Enabled    bool
	Window     time.Duration
	Deviations int
	Warmup     time.Duration
	Severity   string
}

// FirstSeen fires when a subject that has been known for Known takes an action for the first time.
type FirstSeen struct {
	Enabled  bool
	Known    time.Duration
	Severity string
}

// Drift fires when the latency of evaluation within Window is Factor times its own past.
type Drift struct {
	Enabled  bool
	Window   time.Duration
	Factor   int
	Severity string
}

// Pressure fires when so many percent of the ring, or of the journal's disk, are full.
type Pressure struct {
	Enabled    bool
	Ring, Disk int
	Severity   string
}

// Fleet is the guard rail: where one detector would fire within Window for Percent of the active subjects at once, and
// for at least AtLeast of them, it is the policy that is suspect.
type Fleet struct {
	Window           time.Duration
	Percent, AtLeast int
}
