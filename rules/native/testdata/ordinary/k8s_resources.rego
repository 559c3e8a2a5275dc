package kubernetes.resources

# Limits of memory and processor time, in the units that Kubernetes has.
default_limits := {"cpu": "500m", "memory": "1Gi"}

violation contains msg if {
	some c in input.review.object.spec.containers
	some what in ["cpu", "memory"]
	not c.resources.limits[what]
	msg := sprintf("container <%v> has no %v limit", [c.name, what])
}

violation contains msg if {
	some c in input.review.object.spec.containers
	mem := units.parse_bytes(c.resources.limits.memory)
	mem > units.parse_bytes(input.parameters.memory)
	msg := sprintf("container <%v> memory limit <%v> is higher than the maximum of <%v>", [c.name, c.resources.limits.memory, input.parameters.memory])
}

violation contains msg if {
	some c in input.review.object.spec.containers
	cpu := canonify_cpu(c.resources.limits.cpu)
	cpu > canonify_cpu(input.parameters.cpu)
	msg := sprintf("container <%v> cpu limit <%v> is too high", [c.name, c.resources.limits.cpu])
}

canonify_cpu(orig) := orig * 1000 if is_number(orig)

canonify_cpu(orig) := to_number(replace(orig, "m", "")) if {
	not is_number(orig)
	endswith(orig, "m")
}

canonify_cpu(orig) := to_number(orig) * 1000 if {
	not is_number(orig)
	not endswith(orig, "m")
	regex.match(`^[0-9]+(\.[0-9]+)?$`, orig)
}

ratio := sum([units.parse(object.get(c, ["resources", "limits", "cpu"], "1")) | some c in input.review.object.spec.containers])
