# METADATA
# title: Kubernetes-style RBAC
# description: Roles are lists of (verbs, resources, names); bindings give them to subjects and groups, in a namespace or everywhere.
# custom:
#   version: 1.0.0
#   default_effect: deny
package policies.kubernetes_rbac

# The call: action.name is the verb, resource.type the kind ("pods", "pods/log"), resource.id the name,
# context.namespace the namespace; subject.properties.groups the groups that the caller vouches for.

allow contains {"rule": "cluster_role", "reason": sprintf("Allowed by ClusterRole '%s'", [binding.role])} if {
	some binding in data.rbac.cluster_bindings
	bound(binding)
	some grant in data.rbac.roles[binding.role]
	covers(grant)
}

allow contains {"rule": "role", "reason": sprintf("Allowed by Role '%s' in %s", [binding.role, binding.namespace])} if {
	some binding in data.rbac.bindings
	binding.namespace == input.context.namespace
	bound(binding)
	some grant in data.rbac.roles[binding.role]
	covers(grant)
}

# Secrets are read by nobody through a wildcard: a role must name them.
deny contains {"rule": "no_secrets_by_wildcard", "priority": 100} if {
	input.resource.type == "secrets"
	not names_secrets
}

names_secrets if {
	some binding in array.concat(data.rbac.bindings, data.rbac.cluster_bindings)
	object.get(binding, "namespace", input.context.namespace) == input.context.namespace
	bound(binding)
	some grant in data.rbac.roles[binding.role]
	"secrets" in grant.resources
	covers(grant)
}

bound(binding) if input.subject.id in binding.users

bound(binding) if {
	some group in input.subject.properties.groups
	group in binding.groups
}

covers(grant) if {
	matches(grant.verbs, input.action.name)
	matches(grant.resources, input.resource.type)
	named(grant)
}

matches(list, _) if "*" in list

matches(list, x) if x in list

named(grant) if not grant.names

named(grant) if input.resource.id in grant.names
