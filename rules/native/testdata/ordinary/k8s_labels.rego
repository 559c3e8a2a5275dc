package kubernetes.admission

deny contains msg if {
	input.request.kind.kind == "Pod"
	some container in input.request.object.spec.containers
	not startswith(container.image, "registry.example.com/")
	msg := sprintf("image %q comes from an untrusted registry", [container.image])
}

deny contains msg if {
	required := {"app", "owner", "costcenter"}
	provided := {label | input.request.object.metadata.labels[label]}
	missing := required - provided
	count(missing) > 0
	msg := sprintf("you must provide labels: %v", [missing])
}

deny contains msg if {
	some container in input.request.object.spec.containers
	endswith(container.image, ":latest")
	msg := sprintf("container '%v' uses the tag latest", [container.name])
}

deny contains msg if {
	value := input.request.object.metadata.labels.costcenter
	not regex.match(`^cccode-[0-9]{3,}$`, value)
	msg := sprintf("costcenter must look like cccode-123; found %v", [value])
}

response := {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": input.request.uid, "allowed": count(deny) == 0, "status": {"message": concat("; ", deny)}}}
