package policies.agents

tool := input.action.name

args := input.action.properties

allow contains {"rule": "read", "priority": 1} if tool in data.agents.tools[input.subject.properties.role]

deny contains {"rule": "budget", "priority": 100, "reason": reason} if {
	spent := object.get(data.agents.spent, input.subject.id, 0)
	total := spent + args.amount
	total > data.agents.budget
	reason := sprintf("%v spends %.2f of %v", [input.subject.id, total, data.agents.budget])
}

deny contains {"rule": "traversal", "priority": 100, "reason": "path leaves the workspace"} if {
	some part in split(args.path, "/")
	part == ".."
}

deny contains {"rule": "command", "guardrail": true, "reason": sprintf("forbidden: %s", [word])} if {
	some word in regex.split(`[\s;|&]+`, args.command)
	word in data.agents.forbidden
}

deny contains {"rule": "host", "reason": sprintf("host %s is not listed", [host])} if {
	host := split(split(args.url, "://")[1], "/")[0]
	every h in data.agents.hosts {
		not endswith(host, h)
	}
}

warn contains {"rule": "secrets", "reason": "looks like a secret"} if {
	walk(args, [_, v])
	is_string(v)
	some p in data.agents.secrets
	regex.match(p, v)
}

audit contains {"rule": "large"} if count(json.marshal(args)) > 50
