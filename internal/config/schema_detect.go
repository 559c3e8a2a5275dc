package config

import "time"

const day = 24 * time.Hour

// maxDistinct bounds thresholds that count distinct things: each is kept for each suspect.
const maxDistinct = 256

func severity() codec[string] { return enum("LOW", "MEDIUM", "HIGH", "CRITICAL") }
func health() codec[string]   { return enum("INFO", "WARNING", "CRITICAL") }
func window() codec[time.Duration] {
	return duration(time.Second, day)
}

func detectKeys() []Key {
	at := func(c *Config) *Detect { return &c.Detect }
	var keys []Key
	keys = append(keys, escalation("detect.denials", "one subject is denied again and again",
		func(c *Config) *Escalation { return &at(c).Denials })...)
	keys = append(keys, threshold("detect.probing", "one subject is denied distinct resources or actions", "60s", "8", "HIGH",
		func(c *Config) *Threshold { return &at(c).Probing }, severity(), integer(1, maxDistinct))...)
	keys = append(keys, threshold("detect.slow_probing", "much of what one subject asks for is denied, distinct things over a long time", "1h", "32",
		"MEDIUM", func(c *Config) *Threshold { return &at(c).SlowProbing.Threshold }, severity(), integer(1, maxDistinct))...)
	keys = append(keys, one("detect.slow_probing.percent", "25", "of what the subject asks for within the window is denied",
		func(c *Config) *int { return &at(c).SlowProbing.Percent }, integer(1, 100)))
	keys = append(keys, threshold("detect.role_change", "one subject comes with distinct roles", "5m", "2", "MEDIUM",
		func(c *Config) *Threshold { return &at(c).RoleChange }, severity(), integer(2, maxDistinct))...)
	keys = append(keys, rateKeys(func(c *Config) *Rate { return &at(c).Rate })...)
	keys = append(keys,
		one("detect.first_seen.enabled", "true", "a long-known subject takes an action for the first time",
			func(c *Config) *bool { return &at(c).FirstSeen.Enabled }, boolean()),
		one("detect.first_seen.known", "24h", "how long a subject must have been known",
			func(c *Config) *time.Duration { return &at(c).FirstSeen.Known }, duration(time.Minute, 30*day)),
		one("detect.first_seen.severity", "LOW", "of the threat",
			func(c *Config) *string { return &at(c).FirstSeen.Severity }, severity()))
	keys = append(keys, threshold("detect.path_confusion", "one subject's raw and canonical paths differ", "60s", "3", "MEDIUM",
		func(c *Config) *Threshold { return &at(c).PathConfusion }, severity(), integer(1, 1<<20))...)
	keys = append(keys, threshold("detect.errors", "evaluation errors and deadlines, ERROR_SPIKE", "60s", "10", "WARNING",
		func(c *Config) *Threshold { return &at(c).Errors }, health(), integer(1, 1<<20))...)
	keys = append(keys,
		one("detect.latency.enabled", "true", "evaluation is slower than its own past, PERFORMANCE_DEGRADATION",
			func(c *Config) *bool { return &at(c).Latency.Enabled }, boolean()),
		one("detect.latency.window", "60s", "the present",
			func(c *Config) *time.Duration { return &at(c).Latency.Window }, window()),
		one("detect.latency.factor", "4", "how many times slower",
			func(c *Config) *int { return &at(c).Latency.Factor }, integer(2, 1000)),
		one("detect.latency.severity", "WARNING", "of the immune event",
			func(c *Config) *string { return &at(c).Latency.Severity }, health()),
		one("detect.pressure.enabled", "true", "ring and disk fill up, RESOURCE_EXHAUSTION",
			func(c *Config) *bool { return &at(c).Pressure.Enabled }, boolean()),
		one("detect.pressure.ring", "50", "percent of the ring",
			func(c *Config) *int { return &at(c).Pressure.Ring }, integer(1, 100)),
		one("detect.pressure.disk", "90", "percent of the journal's disk",
			func(c *Config) *int { return &at(c).Pressure.Disk }, integer(1, 100)),
		one("detect.pressure.severity", "WARNING", "of the immune event; CRITICAL once records are shed",
			func(c *Config) *string { return &at(c).Pressure.Severity }, health()),
		one("detect.fleet.window", "60s", "subjects that fire within it count as firing at once",
			func(c *Config) *time.Duration { return &at(c).Fleet.Window }, window()),
		one("detect.fleet.percent", "20", "of the active subjects at once: the policy is suspect, nobody is quarantined",
			func(c *Config) *int { return &at(c).Fleet.Percent }, integer(1, 100)),
		one("detect.fleet.at_least", "5", "and at least so many subjects",
			func(c *Config) *int { return &at(c).Fleet.AtLeast }, integer(1, 1<<20)),
		one("detect.quiet", "15m", "without more of the same, after which a subject's next is another incident, and another threat",
			func(c *Config) *time.Duration { return &at(c).Quiet }, duration(time.Second, 30*day)),
		one("detect.subjects", "131072", "subjects remembered at once: 280 bytes each, made at the start",
			func(c *Config) *int { return &at(c).Subjects }, integer(1024, 1<<22)),
		many("detect.decoys", "", "resources that nobody has a reason to touch: one touch is CRITICAL; one that ends in * stands for all that begin so",
			func(c *Config) *[]string { return &at(c).Decoys }, text("a resource id", nil)))
	return keys
}

func escalation(name, doc string, at func(*Config) *Escalation) []Key {
	return []Key{
		one(name+".enabled", "true", doc, func(c *Config) *bool { return &at(c).Enabled }, boolean()),
		one(name+".window", "60s", "counts within it", func(c *Config) *time.Duration { return &at(c).Window }, window()),
		one(name+".medium", "10", "times that make a MEDIUM threat", func(c *Config) *int { return &at(c).Medium }, integer(1, 1<<20)),
		one(name+".high", "50", "times that make it HIGH", func(c *Config) *int { return &at(c).High }, integer(1, 1<<20)),
		one(name+".critical", "200", "times that make it CRITICAL", func(c *Config) *int { return &at(c).Critical }, integer(1, 1<<20)),
	}
}

func threshold(name, doc, within, least, sev string, at func(*Config) *Threshold, severities codec[string], times codec[int]) []Key {
	return []Key{
		one(name+".enabled", "true", doc, func(c *Config) *bool { return &at(c).Enabled }, boolean()),
		one(name+".window", within, "counts within it", func(c *Config) *time.Duration { return &at(c).Window }, window()),
		one(name+".threshold", least, "from how many on", func(c *Config) *int { return &at(c).At }, times),
		one(name+".severity", sev, "of what is reported", func(c *Config) *string { return &at(c).Severity }, severities),
	}
}

func rateKeys(at func(*Config) *Rate) []Key {
	return []Key{
		one("detect.rate.enabled", "true", "one subject calls far more than in its own past",
			func(c *Config) *bool { return &at(c).Enabled }, boolean()),
		one("detect.rate.window", "10s", "the present",
			func(c *Config) *time.Duration { return &at(c).Window }, window()),
		one("detect.rate.deviations", "6", "standard deviations above the mean",
			func(c *Config) *int { return &at(c).Deviations }, integer(1, 1000)),
		one("detect.rate.warmup", "10m", "how long a subject is watched before it is judged",
			func(c *Config) *time.Duration { return &at(c).Warmup }, duration(time.Second, 30*day)),
		one("detect.rate.severity", "MEDIUM", "of the threat",
			func(c *Config) *string { return &at(c).Severity }, severity()),
	}
}

func immuneKeys() []Key {
	at := func(c *Config) *Immune { return &c.Immune }
	return []Key{
		one("threats.store", "embedded", "where the threat registry is kept: here, or in a Redis that a fleet shares",
			func(c *Config) *string { return &c.Threats.Store }, store(), masked(maskURL)),
		one("immune.mode", "observe", "observe says what protect would do; protect does it, quarantine included",
			func(c *Config) *bool { return &at(c).Protect }, either("observe", "protect")),
		one("immune.protect_at", "HIGH", "the least severe threat that is acted upon",
			func(c *Config) *string { return &at(c).ProtectAt }, severity()),
		many("immune.exempt", "", "subject ids that self-protection never quarantines",
			func(c *Config) *[]string { return &at(c).Exempt }, text("a subject id", nil)),
		one("immune.max_quarantined", "5%", "of the active subjects at once and at least 1, or a number of them",
			func(c *Config) *Quota { return &at(c).MaxQuarantined }, quota()),
		one("immune.quarantine.ttl", "15m", "how long self-protection's first quarantine of a subject lasts; each further one twice as long",
			func(c *Config) *time.Duration { return &at(c).TTL }, duration(time.Second, 30*day)),
		one("immune.quarantine.max_ttl", "24h", "and no longer than this",
			func(c *Config) *time.Duration { return &at(c).MaxTTL }, duration(time.Second, 365*day)),
		one("immune.healing.enabled", "true", "return to the last good policies when a change makes evaluations fail, or denies the fleet",
			func(c *Config) *bool { return &at(c).Healing.Enabled }, boolean()),
		one("immune.healing.window", "5m", "how long after a change it is suspected",
			func(c *Config) *time.Duration { return &at(c).Healing.Window }, duration(time.Second, day)),
		one("immune.healing.errors", "20", "evaluation errors since the change, at least",
			func(c *Config) *int { return &at(c).Healing.Errors }, integer(1, 1<<20)),
		one("immune.healing.percent", "10", "percent of the decisions since the change, at least, and four times the share before it",
			func(c *Config) *int { return &at(c).Healing.Percent }, integer(1, 100)),
		one("immune.brown_out.enabled", "true", "leave out optional work while the event ring fills up",
			func(c *Config) *bool { return &at(c).BrownOut.Enabled }, boolean()),
		one("immune.brown_out.detectors", "50", "percent of the ring from which the detectors that cost most are left out",
			func(c *Config) *int { return &at(c).BrownOut.Detectors }, integer(1, 100)),
		one("immune.brown_out.allows", "65", "percent of the ring from which records of plain allows are shed; never with events.loss strict",
			func(c *Config) *int { return &at(c).BrownOut.Allows }, integer(1, 100)),
		one("immune.brown_out.leave", "25", "percent of the ring below which what is left out returns, step by step",
			func(c *Config) *int { return &at(c).BrownOut.Leave }, integer(0, 99)),
		one("immune.brown_out.calm", "5s", "how long it must be below for each step",
			func(c *Config) *time.Duration { return &at(c).BrownOut.Calm }, duration(100*time.Millisecond, time.Hour)),
	}
}
