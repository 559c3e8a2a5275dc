package tenants.authz

import data.tenants.bindings

default decision := {"allowed": false, "reason": "no binding"}

decision := {"allowed": true, "roles": roles, "tenant": tenant} if {
	count(roles & needed) > 0
}

tenant := split(input.resource, "/")[1]

roles := {r | some r in object.get(bindings, [tenant, input.subject.id], [])} | group_roles

group_roles := {r |
	some g in input.subject.groups
	some r in object.get(object.get(bindings, tenant, {}), concat(":", ["group", lower(g)]), [])
}

needed := {"read": {"reader", "writer", "owner"}, "write": {"writer", "owner"}, "admin": {"owner"}}[input.action]
