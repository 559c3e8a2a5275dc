package graphql.fields

# A gateway has parsed the query: fields by type, with their paths.
default allow := false

allow if count(denied) == 0

denied contains sprintf("%s.%s", [f.type, f.name]) if {
	some f in input.fields
	rule := data.schema[f.type][f.name]
	not permitted(rule)
}

permitted(rule) if count(rule.roles) == 0

permitted(rule) if {
	some r in rule.roles
	input.user.roles[_] == r
}

permitted(rule) if {
	rule.owner == true
	input.variables.id == input.user.id
}

depth := max({count(split(f.path, ".")) | some f in input.fields})

too_deep if depth > data.limits.depth

cost := sum([c | some f in input.fields; c := object.get(data.costs, f.name, 1) * object.get(f, ["args", "first"], 1)])

by_type := {t: fs | some x in input.fields; t := x.type; fs := {f.name | some f in input.fields; f.type == t}}
