package iam

# Statements as of a cloud provider: patterns of actions and of resources, a denial beats.
default effect := "deny"

effect := "allow" if {
	count(matching("Allow")) > 0
	count(matching("Deny")) == 0
}

matching(kind) := {s.sid |
	some name in data.iam.attached[input.principal]
	some s in data.iam.policies[name].statements
	s.effect == kind
	some a in s.actions
	glob.match(a, [":"], input.action)
	some r in s.resources
	glob.match(r, ["/"], input.resource)
	conditions(s)
}

conditions(s) if not s.condition

conditions(s) if {
	every k, v in s.condition {
		input.context[k] == v
	}
}
