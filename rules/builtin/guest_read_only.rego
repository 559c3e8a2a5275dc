# METADATA
# title: Guest Read-Only Access
# description: Guests may read, and may not write, delete, update or create.
# custom: {version: 1.0.0}
package policies.guest_read_only

allow contains {"rule": "guest_read_allow", "name": "Guest Read Allow", "priority": 50} if {
	input.subject.properties.role == "guest"
	is_string(input.action.name)
	regex.match(`(^|[-_./:])read($|[-_./:])`, input.action.name)
}

deny contains {"rule": "guest_write_deny", "name": "Guest Write Deny", "priority": 100} if {
	input.subject.properties.role == "guest"
	input.action.name in {"write", "delete", "update", "create"}
}
