package sshd.authz

import input.pull_responses
import input.sysinfo

default allow := false

allow if {
	some host in pull_responses.files["/etc/host_identity.json"].contributors
	host == sysinfo.pam_username
}

allow if {
	hosts := data.roles.admin
	hosts[_] == sysinfo.pam_username
}

allow if {
	ticket := data.elevate[sysinfo.pam_username]
	ticket.expires > input.now
	input.display_responses.last_name == ticket.last_name
}

errors contains "Request denied by administrative policy" if not allow

errors contains sprintf("Ticket of %s expired %d seconds ago", [sysinfo.pam_username, ago]) if {
	ticket := data.elevate[sysinfo.pam_username]
	ago := input.now - ticket.expires
	ago >= 0
}
