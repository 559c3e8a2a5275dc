package kubernetes.security

import data.kubernetes.exempt

workload := input.request.object.spec.template.spec if input.request.kind.kind in {"Deployment", "StatefulSet", "DaemonSet", "Job"}

workload := input.request.object.spec if input.request.kind.kind == "Pod"

containers := array.concat(object.get(workload, "containers", []), object.get(workload, "initContainers", []))

exempted(c) if {
	some prefix in exempt.images
	startswith(c.image, prefix)
}

violation contains {"msg": msg, "container": c.name} if {
	some c in containers
	not exempted(c)
	c.securityContext.privileged
	msg := sprintf("Privileged container is not allowed: %v, securityContext: %v", [c.name, c.securityContext])
}

violation contains {"msg": msg, "container": c.name} if {
	some c in containers
	not exempted(c)
	object.get(c, ["securityContext", "runAsUser"], 0) == 0
	msg := sprintf("Container %v runs as root", [c.name])
}

violation contains {"msg": msg, "container": c.name} if {
	some c in containers
	caps := {cap | some cap in object.get(c, ["securityContext", "capabilities", "add"], [])}
	forbidden := caps - {cap | some cap in exempt.capabilities}
	count(forbidden) > 0
	msg := sprintf("Container %v adds %v", [c.name, concat(", ", forbidden)])
}

violation contains {"msg": "hostPath volumes are not allowed"} if {
	some v in workload.volumes
	v.hostPath
	not any_prefix(v.hostPath.path)
}

any_prefix(path) if {
	some p in exempt.paths
	strings.any_prefix_match(trim_suffix(path, "/"), [p])
}

violation contains {"msg": "host namespaces are not allowed"} if {
	some ns in ["hostPID", "hostIPC", "hostNetwork"]
	workload[ns]
}
