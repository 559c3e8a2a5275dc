package docker.authz

default allow := false

allow if not deny

deny if seccomp_unconfined

deny if {
	some bind in input.Body.HostConfig.Binds
	[source, _] := split(bind, ":")
	not startswith(source, "/home/")
}

deny if input.Body.HostConfig.Privileged == true

seccomp_unconfined if {
	# The path does not matter, the option does.
	input.Body.HostConfig.SecurityOpt[_] == "seccomp:unconfined"
}

allow if {
	user_id := input.Headers["Authz-User"]
	data.users[user_id].readOnly
	input.Method == "GET"
}

version := trim_left(split(trim_left(input.Path, "/"), "/")[0], "v")

old if semver.compare(sprintf("%s.0", [version]), "1.40.0") < 0
