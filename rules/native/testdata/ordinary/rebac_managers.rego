package hr.salaries

import data.hr.reports_to

default allow := false

# /finance/salary/{employee}: oneself, and everyone above.
allow if {
	input.method == "GET"
	input.path = ["finance", "salary", employee]
	employee == input.user
}

allow if {
	input.method == "GET"
	input.path = ["finance", "salary", employee]
	input.user in chain(employee)
}

allow if {
	input.method == "GET"
	["finance", "salary", _] = input.path
	input.user in data.hr.group
}

edges[person] := [boss | boss := reports_to[person]] if some person, _ in reports_to

chain(employee) := graph.reachable(edges, [employee]) - {employee}
