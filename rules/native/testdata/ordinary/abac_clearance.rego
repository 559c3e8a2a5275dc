package abac.clearance

levels := ["public", "internal", "confidential", "secret"]

level(name) := i if {
	some i, l in levels
	l == name
}

default allow := false

allow if {
	level(input.subject.clearance) >= level(input.resource.classification)
	count(compartments_missing) == 0
	nationality
}

compartments_missing := {c | some c in input.resource.compartments} - {c | some c in input.subject.compartments}

nationality if not input.resource.releasable_to

nationality if input.subject.country in input.resource.releasable_to

obligations contains "watermark" if level(input.resource.classification) > 1

obligations contains "log" if {
	some c in input.resource.compartments
	startswith(c, "x-")
}

score := sum([w | some f, w in data.risk.weights; input.context[f] == true])

risky if score > data.risk.limit
