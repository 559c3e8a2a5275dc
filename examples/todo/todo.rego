# METADATA
# title: Todo application
# description: The OpenID AuthZEN working group's interoperability scenario, Authorization API 1.0.
# custom:
#   version: 1.0.0
#   default_effect: deny
package policies.todo

# The caller names a subject by id; what it may do follows from the attributes held here (data.users), never from
# attributes that the caller sends along.
user := data.users[input.subject.id]

is_owner if user.email == input.resource.properties.ownerID

allow contains {"rule": "read", "name": "Everyone reads"} if input.action.name in {"can_read_user", "can_read_todos"}

allow contains {"rule": "create", "name": "Admins and editors create"} if {
	input.action.name == "can_create_todo"
	some role in user.roles
	role in {"admin", "editor"}
}

allow contains {"rule": "update_any", "name": "Evil geniuses update anything"} if {
	input.action.name == "can_update_todo"
	"evil_genius" in user.roles
}

allow contains {"rule": "update_own", "name": "Editors update their own"} if {
	input.action.name == "can_update_todo"
	"editor" in user.roles
	is_owner
}

allow contains {"rule": "delete_any", "name": "Admins delete anything"} if {
	input.action.name == "can_delete_todo"
	"admin" in user.roles
}

allow contains {"rule": "delete_own", "name": "Editors delete their own"} if {
	input.action.name == "can_delete_todo"
	"editor" in user.roles
	is_owner
}
