package terraform.tags

required := {"owner", "env", "cost-center"}

changed contains r if {
	some r in input.resource_changes
	some a in r.change.actions
	a in {"create", "update"}
}

deny contains msg if {
	some r in changed
	tags := object.get(r.change.after, "tags", {})
	missing := required - object.keys(tags)
	count(missing) > 0
	msg := sprintf("%s lacks the tags %s", [r.address, concat(", ", missing)])
}

deny contains msg if {
	some r in changed
	env := r.change.after.tags.env
	not env in {"dev", "test", "prod"}
	msg := sprintf("%s: env %q is none", [r.address, env])
}

by_module := {m: names |
	some r in input.resource_changes
	m := split(r.address, ".")[0]
	names := {x.address | some x in input.resource_changes; startswith(x.address, m)}
}

summary := sprintf("%d of %d changes are refused", [count(deny), count(input.resource_changes)])
