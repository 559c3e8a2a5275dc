package envoy.routes

default decision := {"allowed": false, "http_status": 403, "body": "denied"}

decision := {
	"allowed": true,
	"headers": {"x-user": user, "x-roles": concat(",", roles)},
	"response_headers_to_add": {"x-policy": "routes"},
	"request_headers_to_remove": ["x-internal", "authorization"],
} if {
	some route in data.routes
	route.method == input.attributes.request.http.method
	path_matches(route.path, input.parsed_path)
	count({r | some r in route.roles} & roles) > 0
}

decision := {"allowed": true} if {
	input.attributes.request.http.method in ["GET", "HEAD"]
	input.parsed_path[0] in {"healthz", "metrics", "static"}
}

path_matches(pattern, path) if {
	count(pattern) == count(path)
	every i, part in pattern {
		segment_matches(part, path[i])
	}
}

segment_matches("*", _)

segment_matches(a, b) if a == b

user := trim_prefix(input.attributes.source.principal, "spiffe://cluster.local/ns/")

roles := {r | some r in data.users[user].roles}
