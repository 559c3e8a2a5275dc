package kubernetes.mutate

# Patches that add what is missing.
patch contains {"op": "add", "path": "/metadata/labels", "value": {}} if not input.request.object.metadata.labels

patch contains {"op": "add", "path": path, "value": value} if {
	some key, value in data.defaults.labels
	not input.request.object.metadata.labels[key]
	path := concat("/", ["", "metadata", "labels", replace(replace(key, "~", "~0"), "/", "~1")])
}

patch contains {"op": "replace", "path": sprintf("/spec/containers/%d/image", [i]), "value": image} if {
	some i, c in input.request.object.spec.containers
	not contains(split(c.image, "/")[0], ".")
	image := concat("/", [data.defaults.registry, c.image])
}

full_patches := [p | some p in patch]

response := {"allowed": true, "patchType": "JSONPatch", "patch": base64.encode(json.marshal(full_patches))} if count(patch) > 0
