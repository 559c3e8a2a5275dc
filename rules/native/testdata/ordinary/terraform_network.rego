package terraform.network

# Whatever lies anywhere in the plan, in modules of modules.
resources contains r if {
	walk(input.planned_values, [_, value])
	some r in value.resources
}

deny contains msg if {
	some r in resources
	r.type == "aws_security_group"
	some rule in r.values.ingress
	some block in rule.cidr_blocks
	block == "0.0.0.0/0"
	some port in [22, 3389]
	rule.from_port <= port
	rule.to_port >= port
	msg := sprintf("%s opens port %d to the world", [r.address, port])
}

deny contains msg if {
	some r in resources
	r.type == "aws_s3_bucket"
	r.values.acl in {"public-read", "public-read-write"}
	msg := sprintf("%v is public", [r.address])
}

deny contains msg if {
	some r in resources
	r.type == "aws_db_instance"
	not r.values.storage_encrypted
	msg := sprintf("%s is not encrypted", [r.address])
}

secrets contains path if {
	[p, v] := walk(input.planned_values)
	is_string(v)
	regex.match(`^AKIA[0-9A-Z]{16}$`, v)
	path := concat(".", [sprintf("%v", [x]) | some x in p])
}
