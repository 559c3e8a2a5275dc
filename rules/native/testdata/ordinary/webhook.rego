package ci.webhook

default allow := false

allow if {
	signature_valid
	branch_ok
	approvals >= 2
}

signature_valid if {
	expected := concat("=", ["sha256", crypto.hmac.sha256(input.body, data.ci.secret)])
	expected == input.headers["x-hub-signature-256"]
}

event := json.unmarshal(input.body)

branch := trim_prefix(event.ref, "refs/heads/")

branch_ok if branch in {"main", "release"}

branch_ok if glob.match("release/*", ["/"], branch)

approvals := count({r.user | some r in event.reviews; r.state == "APPROVED"; r.user != event.author})

changed_teams := {team |
	some file in event.files
	some pattern, team in data.ci.codeowners
	glob.match(pattern, ["/"], file)
}

unapproved := changed_teams - {data.ci.team_of[r.user] | some r in event.reviews; r.state == "APPROVED"}

etag := crypto.sha256(input.body)
