package kubernetes.ingress

# A host belongs to one namespace.
deny contains msg if {
	input.request.kind.kind == "Ingress"
	input.request.operation in {"CREATE", "UPDATE"}
	host := input.request.object.spec.rules[_].host
	some namespace, name
	other := data.kubernetes.ingresses[namespace][name]
	other.spec.rules[_].host == host
	namespace != input.request.namespace
	msg := sprintf("invalid ingress host %q (conflicts with %v/%v)", [host, namespace, name])
}

deny contains msg if {
	input.request.kind.kind == "Ingress"
	some rule in input.request.object.spec.rules
	allowed := data.kubernetes.namespaces[input.request.namespace].metadata.annotations["ingress-allowlist"]
	patterns := split(allowed, ",")
	not fqdn_matches_any(rule.host, patterns)
	msg := sprintf("host %v is not in %v", [rule.host, patterns])
}

fqdn_matches_any(str, patterns) if fqdn_matches(str, patterns[_])

fqdn_matches(str, pattern) if {
	pattern_parts := split(pattern, ".")
	pattern_parts[0] == "*"
	str_parts := split(str, ".")
	n_pattern_parts := count(pattern_parts)
	n_str_parts := count(str_parts)
	suffix := trim(pattern, "*.")
	n_pattern_parts == n_str_parts
	endswith(str, suffix)
}

fqdn_matches(str, pattern) if {
	not contains(pattern, "*")
	str == pattern
}
