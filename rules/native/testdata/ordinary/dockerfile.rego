package dockerfile

# As of conftest: commands of a file.
deny contains msg if {
	some i
	input[i].Cmd == "from"
	val := split(input[i].Value[0], ":")
	not val[1]
	msg := sprintf("line %d: no tag on %s", [i, input[i].Value[0]])
}

deny contains msg if {
	some i
	input[i].Cmd == "from"
	some bad in data.images.banned
	contains(lower(input[i].Value[0]), bad)
	msg := sprintf("line %d: %s is banned", [i, bad])
}

secrets_env := ["passwd", "password", "secret", "api_key", "token"]

deny contains msg if {
	some i
	input[i].Cmd == "env"
	val := input[i].Value
	some s in secrets_env
	contains(lower(val[0]), s)
	msg := sprintf("line %d: potential secret in ENV key found: %s", [i, val])
}

deny contains msg if {
	some i
	input[i].Cmd == "run"
	val := concat(" ", input[i].Value)
	matches := regex.find_n(`(curl|wget)[^|^>]*[|>]`, lower(val), -1)
	count(matches) > 0
	msg := sprintf("line %d: avoid curl bashing", [i])
}

warn contains "do not run as root" if not any_user

any_user if {
	some i
	input[i].Cmd == "user"
}
