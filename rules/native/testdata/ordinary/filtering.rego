package filtering

# What of a document a caller sees.
visible := [d | some d in input.documents; can_see(d)]

can_see(d) if d.public

can_see(d) if d.owner == input.user.id

can_see(d) if {
	some g in d.groups
	g in input.user.groups
}

masked := [object.union(object.remove(d, hidden), {"masked": true}) | some d in visible]

hidden := {f | some f, level in data.fields; level > input.user.level}

columns := object.filter(data.fields, ["name", "salary"])

emails := {d.id: regex.replace(d.email, `^[^@]+`, "***") | some d in visible; d.email}

merged := object.union_n([data.defaults, input.settings, {"user": input.user.id}])

card := concat("", ["****", substring(input.card, count(input.card) - 4, 4)])

pages := ceil(count(visible) / 2)

trimmed := json.remove(input.user, ["groups", "address/street"])

selected := json.filter(input.user, ["id", "address/city"])

titles := {upper(substring(d.id, 0, 1)) | some d in visible}
