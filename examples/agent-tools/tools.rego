# METADATA
# title: Agent tool calls
# description: Which tools an AI agent may call, where it may write and what a person must see first.
# custom:
#   version: 1.2.0
package policies.agent_tools

import data.lib.paths

tool := input.action.name

args := input.action.properties

# Reading is what agents are for.
allow contains {"rule": "read_tools", "name": "Read tools"} if tool in {"read_file", "list_files", "search", "fetch_url"}

# Writing stays inside the agent's own workspace.
allow contains {"rule": "workspace_write", "name": "Write in the own workspace", "priority": 10} if {
	tool in {"write_file", "delete_file"}
	in_workspace
}

deny contains {
	"rule": "outside_workspace",
	"name": "Write outside the workspace",
	"priority": 100,
	"reason": sprintf("%s may write below %s only", [input.subject.id, workspace]),
} if {
	tool in {"write_file", "delete_file"}
	not in_workspace
}

# A rule of its own, so that its negation also holds for a call without a path.
in_workspace if paths.inside(args.path, workspace)

workspace := sprintf("/workspaces/%s", [input.subject.id])

# A shell is for operators, and what it runs is kept.
allow contains {"rule": "operator_shell", "name": "Operators run commands"} if {
	tool == "run_command"
	input.subject.properties.role == "operator"
}

audit contains {"rule": "shell_audit", "name": "Commands are kept"} if tool == "run_command"

warn contains {
	"rule": "shell_network",
	"name": "Command reaches the network",
	"reason": sprintf("command uses %s", [word]),
} if {
	tool == "run_command"
	some word in regex.split(`\s+`, args.command)
	word in data.agents.network_commands
}

deny contains {
	"rule": "destructive_command",
	"name": "Destructive command",
	"guardrail": true,
	"reason": "Destructive commands need a person",
} if {
	tool == "run_command"
	some pattern in data.agents.destructive_commands
	regex.match(pattern, args.command)
}

# An agent that an orchestrator has not approved for production only looks.
deny contains {"rule": "production_approval", "name": "Production needs approval", "priority": 100} if {
	input.context.environment == "production"
	not tool in {"read_file", "list_files", "search"}
	not input.context.approved == true
}
