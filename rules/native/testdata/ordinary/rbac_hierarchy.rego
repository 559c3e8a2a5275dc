package rbac.hierarchy

# Roles inherit from roles: everything an ancestor may do.
inherited := graph.reachable(data.roles.parents, {role | some role in data.users[input.user].roles})

permissions contains p if {
	some role in inherited
	some p in data.roles.permissions[role]
}

default allow := false

allow if sprintf("%s:%s", [input.resource, input.action]) in permissions

missing := {sprintf("%s:%s", [input.resource, a]) | some a in input.actions} - permissions

reason := concat(", ", sort(missing)) if count(missing) > 0
