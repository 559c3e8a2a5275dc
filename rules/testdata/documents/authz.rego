package app.authz

import data.fixtures.users

default allow := false

allow if {
	some role in users[input.user].roles
	role == "admin"
}

allow if {
	input.action == "read"
	input.user in object.keys(users)
}

reasons contains msg if {
	not allow
	msg := sprintf("%v may not %v", [input.user, input.action])
}

decision := {"allow": allow, "reasons": reasons, "count": count(reasons)}
