package kafka.authz

default allow := false

allow if {
	is_consume
	on_own_topic("read")
}

allow if {
	is_produce
	on_own_topic("write")
	not pii_denied
}

is_consume if input.action.operation == "READ"

is_produce if input.action.operation == "WRITE"

principal := parsed.CN

# CN=anon_producer,OU=...; or "User:..." without a certificate
parsed := {key: value |
	some pair in split(input.requestContext.principal.name, ",")
	[key, value] := split(pair, "=")
}

topic := input.action.resourcePattern.name

on_own_topic(mode) if {
	some pattern in data.topics.grants[principal][mode]
	regex.match(pattern, topic)
}

pii_denied if {
	"pii" in data.topics.metadata[topic].tags
	not principal in data.topics.pii
}

pii_denied if {
	some p in data.topics.frozen
	startswith(topic, p)
}
