package policies.kubernetes_rbac_test

import data.policies.kubernetes_rbac

ask(user, groups, verb, kind, name, namespace) := {
	"subject": {"type": "user", "id": user, "properties": {"groups": groups}},
	"action": {"name": verb, "properties": {}},
	"resource": {"type": kind, "id": name, "properties": {}},
	"context": {"namespace": namespace},
}

permitted(q) if {
	count(kubernetes_rbac.allow) > 0 with input as q
	count(kubernetes_rbac.deny) == 0 with input as q
}

test_developers_look_everywhere if {
	permitted(ask("ann", ["developers"], "get", "pods", "web-1", "shop"))
	permitted(ask("ann", ["developers"], "list", "pods/log", "", "kube-system"))
	not permitted(ask("ann", ["developers"], "delete", "pods", "web-1", "shop"))
}

test_deployers_deploy_in_their_namespace if {
	permitted(ask("ci-bot", [], "patch", "deployments", "web", "shop"))
	not permitted(ask("ci-bot", [], "patch", "deployments", "web", "bank"))
	permitted(ask("bob", ["shop-team"], "create", "deployments", "web", "shop"))
}

test_secrets_are_read_by_name_only if {
	permitted(ask("ci-bot", [], "get", "secrets", "registry-credentials", "shop"))
	not permitted(ask("ci-bot", [], "get", "secrets", "root-password", "shop"))
	not permitted(ask("root", [], "get", "secrets", "root-password", "shop"))
}

test_masters_do_the_rest if permitted(ask("any", ["system:masters"], "delete", "nodes", "n1", ""))

test_groups_are_optional if {
	q := object.remove(ask("root", [], "get", "pods", "web-1", "shop"), ["subject"])
	permitted(object.union(q, {"subject": {"type": "user", "id": "root", "properties": {}}}))
}

test_strangers_do_nothing if not permitted(ask("eve", [], "get", "pods", "web-1", "shop"))
