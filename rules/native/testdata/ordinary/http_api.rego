package httpapi.authz

# Paths as text, with versions and ids.
default allow := false

path := [p | some p in split(trim(input.path, "/"), "/"); p != ""]

query := {k: v |
	some pair in split(object.get(input, "query", ""), "&")
	[k, v] := split(pair, "=")
}

allow if {
	input.method == "GET"
	path = ["api", _, "users", id]
	id == input.user.id
}

allow if {
	input.method in {"POST", "PUT", "PATCH"}
	path = ["api", version, "orders", _]
	to_number(trim_prefix(version, "v")) >= 2
	"orders:write" in input.user.scopes
	object.get(query, "dry_run", "false") != "maybe"
}

allow if {
	regex.match(`^/api/v[0-9]+/public/`, input.path)
}

order_id := to_number(regex.find_n(`[0-9]+$`, input.path, 1)[0])

limit := min([100, to_number(query.limit)])
