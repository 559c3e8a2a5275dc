package terraform.analysis

import input as tfplan

# The weighted number of changes must stay below a bound.
blast_radius := 30

weights := {
	"aws_autoscaling_group": {"delete": 100, "create": 10, "modify": 1},
	"aws_instance": {"delete": 10, "create": 1, "modify": 1},
}

resource_types := {"aws_autoscaling_group", "aws_instance", "aws_iam", "aws_launch_configuration"}

default authz := false

authz if {
	score < blast_radius
	not touches_iam
}

score := s if {
	all_resources := [x |
		some resource_type, crud in weights
		del := crud["delete"] * num_deletes[resource_type]
		new := crud["create"] * num_creates[resource_type]
		mod := crud["modify"] * num_modifies[resource_type]
		x := (del + new) + mod
	]
	s := sum(all_resources)
}

touches_iam if {
	all_resources := resources.aws_iam
	count(all_resources) > 0
}

resources[resource_type] := all_resources if {
	some resource_type, _ in resource_types
	all_resources := [name |
		name := tfplan.resource_changes[_]
		name.type == resource_type
	]
}

num_creates[resource_type] := num if {
	some resource_type, _ in resource_types
	all_resources := resources[resource_type]
	creates := [res | res := all_resources[_]; res.change.actions[_] == "create"]
	num := count(creates)
}

num_deletes[resource_type] := num if {
	some resource_type, _ in resource_types
	all_resources := resources[resource_type]
	deletions := [res | res := all_resources[_]; res.change.actions[_] == "delete"]
	num := count(deletions)
}

num_modifies[resource_type] := num if {
	some resource_type, _ in resource_types
	all_resources := resources[resource_type]
	modifies := [res | res := all_resources[_]; res.change.actions[_] == "update"]
	num := count(modifies)
}
