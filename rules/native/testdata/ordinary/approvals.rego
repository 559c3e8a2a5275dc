package approvals

import data.approvals.matrix

# Four eyes, with a matrix of amounts.
level := l if {
	bands := [b | some b in matrix; input.amount <= b.up_to]
	l := bands[0].level
} else := "board"

approvers contains a.user if {
	some a in input.approvals
	a.user != input.requester
	a.decision == "approved"
	rank[a.role] >= rank[level]
	time.parse_rfc3339_ns(a.at) > time.add_date(input.now, 0, 0, -7)
}

rank := {"lead": 1, "manager": 2, "director": 3, "board": 4}

conflict if {
	some i, j
	input.approvals[i].user == input.approvals[j].user
	i != j
}

decision := "reject" if conflict

else := "approve" if count(approvers) >= 2

else := "wait"

names := sort([upper(u) | some u in approvers])

note := sprintf("%v by %s at %s", [decision, concat(" and ", names), time.format([input.now, "UTC", "2006-01-02"])])
