package envoy.ips

default allow := false

client := trim_space(parts[count(parts) - 1]) if parts := split(input.headers["x-forwarded-for"], ",")

client := input.source.address if not input.headers["x-forwarded-for"]

allow if {
	some range in data.networks.allowed
	net.cidr_contains(range, client)
	not blocked
}

blocked if {
	some range in data.networks.blocked
	net.cidr_contains(range, client)
}

blocked if count(net.cidr_contains_matches(data.networks.tor, client)) > 0

overlap contains a if {
	some a in data.networks.allowed
	some b in data.networks.blocked
	net.cidr_intersects(a, b)
}
