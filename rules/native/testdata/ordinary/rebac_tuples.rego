package zanzibar

# Zanzibar-like: tuples of object, relation, subject; a subject may be a set of users of another object.
parents[node] contains next if {
	some t in data.relations
	node := concat("#", [t.object, t.relation])
	next := t.subject
}

implied[concat("#", [t.object, weaker])] contains concat("#", [t.object, stronger]) if {
	some t in data.relations
	some stronger, weaker in {"owner": "editor", "editor": "viewer"}
}

edges := {n: next |
	some n in nodes
	next := object.get(parents, n, set()) | object.get(implied, n, set())
}

nodes := object.keys(parents) | object.keys(implied) | {t.subject | some t in data.relations}

check if input.subject in graph.reachable(edges, [concat("#", [input.object, input.relation])])
