package policies.agent_tools_test

import data.policies.agent_spending
import data.policies.agent_tools

call(tool, args) := {
	"subject": {"type": "agent", "id": "ops_agent", "properties": {"role": "operator"}},
	"action": {"name": tool, "properties": args},
	"resource": {"type": "", "properties": {}},
	"context": {"environment": "staging"},
}

allows(q) := ids if {
	matched := agent_tools.allow with input as q
	ids := {r.rule | some r in matched}
}

denies(q) := ids if {
	matched := agent_tools.deny with input as q
	ids := {r.rule | some r in matched}
}

test_agents_read if {
	allows(call("read_file", {"path": "/etc/motd"})) == {"read_tools"}
	denies(call("read_file", {"path": "/etc/motd"})) == set()
}

test_agents_write_in_their_workspace if {
	allows(call("write_file", {"path": "/workspaces/ops_agent/a.txt"})) == {"workspace_write"}
	denies(call("write_file", {"path": "/workspaces/ops_agent/a.txt"})) == set()
}

test_agents_write_nowhere_else if {
	denies(call("write_file", {"path": "/workspaces/other/a.txt"})) == {"outside_workspace"}
	denies(call("write_file", {"path": "/workspaces/ops_agent/../other/a.txt"})) == {"outside_workspace"}
	denies(call("write_file", {"path": "/workspaces/ops_agent_2/a.txt"})) == {"outside_workspace"}
	denies(call("delete_file", {})) == {"outside_workspace"}
}

test_commands_are_kept if {
	q := call("run_command", {"command": "ls -l"})
	allows(q) == {"operator_shell"}
	count(agent_tools.audit) == 1 with input as q
	count(agent_tools.warn) == 0 with input as q
}

test_network_commands_warn if {
	warnings := agent_tools.warn with input as call("run_command", {"command": "curl x"})
	{w.reason | some w in warnings} == {"command uses curl"}
}

test_destructive_commands_are_denied if {
	denied := agent_tools.deny with input as call("run_command", {"command": "cd / && rm -rf ."})
	{r.rule | some r in denied; r.guardrail} == {"destructive_command"}
}

test_production_needs_approval if {
	q := object.union(call("run_command", {"command": "ls"}), {"context": {"environment": "production"}})
	denies(q) == {"production_approval"}
	denies(object.union(q, {"context": {"approved": true}})) == set()
}

pay(amount, role) := {
	"subject": {"type": "agent", "id": "a", "properties": {"role": role}},
	"action": {"name": "make_payment", "properties": {"amount": amount}},
	"resource": {"type": "", "properties": {}},
	"context": {},
}

test_small_payments if {
	count(agent_spending.allow) == 1 with input as pay(100, "support")
	count(agent_spending.allow) == 0 with input as pay(100.01, "support")
	count(agent_spending.allow) == 0 with input as pay(-5, "support")
}

test_finance_payments_are_audited if {
	count(agent_spending.audit) == 1 with input as pay(5000, "finance")
	count(agent_spending.audit) == 0 with input as pay(5000, "support")
}

test_the_hard_limit_cannot_be_dodged if {
	every amount in [10001, "5", null, {"value": 1}] {
		count(agent_spending.deny) == 1 with input as pay(amount, "finance")
	}
	count(agent_spending.deny) == 0 with input as pay(10000, "finance")
}
