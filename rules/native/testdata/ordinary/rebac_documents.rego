package docs.authz

# Documents lie in folders, users are in groups, groups may view folders.
default allow := false

allow if {
	input.action == "view"
	some place in graph.reachable(data.graph.inside, {input.resource})
	some group in data.graph.viewers[place]
	group in graph.reachable(data.graph.member, {input.subject})
}

allow if {
	input.action in {"view", "edit", "share"}
	data.graph.owner[input.resource] == input.subject
}

chains := graph.reachable_paths(data.graph.inside, [input.resource])
