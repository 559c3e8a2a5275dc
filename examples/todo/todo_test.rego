package policies.todo_test

import data.policies.todo

users := {
	"rick": {"email": "rick@the-citadel.com", "roles": ["admin", "evil_genius"]},
	"morty": {"email": "morty@the-citadel.com", "roles": ["editor"]},
	"beth": {"email": "beth@the-smiths.com", "roles": ["viewer"]},
}

ask(who, what, owner) := {
	"subject": {"type": "user", "id": who, "properties": {}},
	"action": {"name": what, "properties": {}},
	"resource": {"type": "todo", "id": "1", "properties": {"ownerID": owner}},
	"context": {},
}

rules(who, what, owner) := ids if {
	matched := todo.allow with input as ask(who, what, owner) with data.users as users
	ids := {r.rule | some r in matched}
}

test_everyone_reads if {
	rules("beth", "can_read_todos", "") == {"read"}
	rules("a stranger", "can_read_user", "") == {"read"}
}

test_viewers_create_nothing if rules("beth", "can_create_todo", "") == set()

test_editors_create if rules("morty", "can_create_todo", "") == {"create"}

test_editors_update_and_delete_their_own if {
	rules("morty", "can_update_todo", "morty@the-citadel.com") == {"update_own"}
	rules("morty", "can_delete_todo", "morty@the-citadel.com") == {"delete_own"}
}

test_editors_leave_others_alone if {
	rules("morty", "can_update_todo", "rick@the-citadel.com") == set()
	rules("morty", "can_delete_todo", "rick@the-citadel.com") == set()
}

test_admin_and_evil_genius if {
	rules("rick", "can_update_todo", "morty@the-citadel.com") == {"update_any"}
	rules("rick", "can_delete_todo", "morty@the-citadel.com") == {"delete_any"}
}

test_a_sent_role_counts_for_nothing if {
	forged := object.union(ask("beth", "can_delete_todo", ""), {"subject": {"properties": {"roles": ["admin"]}}})
	count(todo.allow) == 0 with input as forged with data.users as users
}

test_unknown_actions_and_strangers if {
	rules("rick", "can_burn_todo", "") == set()
	rules("a stranger", "can_create_todo", "") == set()
}
