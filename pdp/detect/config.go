package detect

import (
	"fmt"
	"time"

	"thymus/pdp/immune"
	"thymus/pdp/threat"
)

// Config tunes the detectors. One that is not Enabled costs nothing.
type Config struct {
	Denials       Denials
	Probing       Threshold
	SlowProbing   SlowProbing
	RoleChange    Threshold
	Rate          Rate
	FirstSeen     FirstSeen
	PathConfusion Threshold
	Errors        Errors
	Latency       Latency
	Pressure      Pressure
	Fleet         Fleet
	// Decoys are ids of resources that nobody has a reason to touch; one that ends in * stands for all that begin so.
	Decoys   []string
	Subjects int           // how many are remembered at once
	Quiet    time.Duration // without anything of the same kind, after which the subject's next is another incident
}

// Threshold fires when a subject did something At times (distinct things, where it is about those) within Window.
type Threshold struct {
	Enabled  bool
	Window   time.Duration
	At       int
	Severity threat.Severity
}

// Denials fires at MEDIUM, HIGH and CRITICAL after that many within Window.
type Denials struct {
	Enabled                bool
	Window                 time.Duration
	Medium, High, Critical int
}

// SlowProbing fires when a subject was denied At distinct things within Window, and its denials there are Percent of what
// it asked for.
type SlowProbing struct {
	Enabled  bool
	Window   time.Duration
	At       int
	Percent  int
	Severity threat.Severity
}

// Rate fires when a subject's calls within Window are Deviations above its own past, Warmup after it was first seen.
type Rate struct {
	Enabled    bool
	Window     time.Duration
	Deviations int
	Warmup     time.Duration
	Severity   threat.Severity
}

// FirstSeen fires when a subject that was first seen Known ago does what it never did.
type FirstSeen struct {
	Enabled  bool
	Known    time.Duration
	Severity threat.Severity
}

// Errors fires after At evaluation errors and deadlines within Window.
type Errors struct {
	Enabled  bool
	Window   time.Duration
	At       int
	Severity immune.Severity
}

// Latency fires when the 90th percentile of a Window is Factor times that of the past.
type Latency struct {
	Enabled  bool
	Window   time.Duration
	Factor   int
	Severity immune.Severity
}

// Pressure fires when so many percent of the ring, or of the journal's disk, are full.
type Pressure struct {
	Enabled    bool
	Ring, Disk int
	Severity   immune.Severity
}

// Fleet is the guard rail: where one detector fires within Window for Percent of the active subjects, and for at least
// AtLeast of them, it is the policy that is suspect.
type Fleet struct {
	Window           time.Duration
	Percent, AtLeast int
}

// Default is what runs unless the operator says otherwise.
func Default() Config {
	return Config{
		Denials:       Denials{true, time.Minute, 10, 50, 200},
		Probing:       Threshold{true, time.Minute, 8, threat.High},
		SlowProbing:   SlowProbing{true, time.Hour, 32, 25, threat.Medium},
		RoleChange:    Threshold{true, 5 * time.Minute, 2, threat.Medium},
		Rate:          Rate{true, 10 * time.Second, 6, 10 * time.Minute, threat.Medium},
		FirstSeen:     FirstSeen{true, 24 * time.Hour, threat.Low},
		PathConfusion: Threshold{true, time.Minute, 3, threat.Medium},
		Errors:        Errors{true, time.Minute, 10, immune.Warning},
		Latency:       Latency{true, time.Minute, 4, immune.Warning},
		Pressure:      Pressure{true, 50, 90, immune.Warning},
		Fleet:         Fleet{time.Minute, 20, 5},
		Subjects:      1 << 17,
		Quiet:         15 * time.Minute,
	}
}

// Bounds of what memory is made for.
const (
	MaxDistinct = 256 // of a threshold that counts distinct things
	MaxSubjects = 1 << 22
)

// ConfigError says which field of a Config cannot be used.
type ConfigError struct{ Field, Detail string }

func (e *ConfigError) Error() string { return "detect: " + e.Field + ": " + e.Detail }

func (c *Config) check() error {
	windows := []struct {
		name string
		on   bool
		d    time.Duration
	}{
		{"Denials.Window", c.Denials.Enabled, c.Denials.Window}, {"Probing.Window", c.Probing.Enabled, c.Probing.Window},
		{"RoleChange.Window", c.RoleChange.Enabled, c.RoleChange.Window}, {"Rate.Window", c.Rate.Enabled, c.Rate.Window},
		{"SlowProbing.Window", c.SlowProbing.Enabled, c.SlowProbing.Window},
		{"PathConfusion.Window", c.PathConfusion.Enabled, c.PathConfusion.Window},
		{"Errors.Window", c.Errors.Enabled, c.Errors.Window}, {"Latency.Window", c.Latency.Enabled, c.Latency.Window},
		{"Fleet.Window", true, c.Fleet.Window}, {"Quiet", true, c.Quiet},
	}
	for _, w := range windows {
		if w.on && w.d < time.Second {
			return &ConfigError{w.name, fmt.Sprintf("got %s, expected at least 1s", w.d)}
		}
	}
	numbers := []struct {
		name         string
		on           bool
		n, low, high int
	}{
		{"Denials.Medium", c.Denials.Enabled, c.Denials.Medium, 1, c.Denials.High - 1},
		{"Denials.High", c.Denials.Enabled, c.Denials.High, 2, c.Denials.Critical - 1},
		{"Denials.Critical", c.Denials.Enabled, c.Denials.Critical, 3, 1 << 20},
		{"Probing.At", c.Probing.Enabled, c.Probing.At, 1, MaxDistinct},
		{"SlowProbing.At", c.SlowProbing.Enabled, c.SlowProbing.At, 1, MaxDistinct},
		{"SlowProbing.Percent", c.SlowProbing.Enabled, c.SlowProbing.Percent, 1, 100},
		{"RoleChange.At", c.RoleChange.Enabled, c.RoleChange.At, 2, MaxDistinct},
		{"PathConfusion.At", c.PathConfusion.Enabled, c.PathConfusion.At, 1, 1 << 20},
		{"Rate.Deviations", c.Rate.Enabled, c.Rate.Deviations, 1, 1000},
		{"Errors.At", c.Errors.Enabled, c.Errors.At, 1, 1 << 20},
		{"Latency.Factor", c.Latency.Enabled, c.Latency.Factor, 2, 1000},
		{"Pressure.Ring", c.Pressure.Enabled, c.Pressure.Ring, 1, 100},
		{"Pressure.Disk", c.Pressure.Enabled, c.Pressure.Disk, 1, 100},
		{"Fleet.Percent", true, c.Fleet.Percent, 1, 100}, {"Fleet.AtLeast", true, c.Fleet.AtLeast, 1, 1 << 20},
		{"Subjects", true, c.Subjects, 1, MaxSubjects},
	}
	for _, n := range numbers {
		if n.on && (n.n < n.low || n.n > n.high) {
			return &ConfigError{n.name, fmt.Sprintf("got %d, expected %d to %d", n.n, n.low, n.high)}
		}
	}
	return c.checkSeverities()
}

func (c *Config) checkSeverities() error {
	for name, t := range map[string]struct {
		on bool
		s  threat.Severity
	}{
		"Probing": {c.Probing.Enabled, c.Probing.Severity}, "RoleChange": {c.RoleChange.Enabled, c.RoleChange.Severity},
		"Rate": {c.Rate.Enabled, c.Rate.Severity}, "FirstSeen": {c.FirstSeen.Enabled, c.FirstSeen.Severity},
		"SlowProbing": {c.SlowProbing.Enabled, c.SlowProbing.Severity}, "PathConfusion": {c.PathConfusion.Enabled, c.PathConfusion.Severity},
	} {
		if t.on && t.s.Rank() < 0 {
			return &ConfigError{name + ".Severity", fmt.Sprintf("got %q, expected LOW, MEDIUM, HIGH or CRITICAL", t.s)}
		}
	}
	for name, t := range map[string]struct {
		on bool
		s  immune.Severity
	}{
		"Errors": {c.Errors.Enabled, c.Errors.Severity}, "Latency": {c.Latency.Enabled, c.Latency.Severity},
		"Pressure": {c.Pressure.Enabled, c.Pressure.Severity},
	} {
		if t.on && t.s != immune.Info && t.s != immune.Warning && t.s != immune.Critical {
			return &ConfigError{name + ".Severity", fmt.Sprintf("got %q, expected INFO, WARNING or CRITICAL", t.s)}
		}
	}
	return nil
}
