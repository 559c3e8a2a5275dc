package images.versions

tag(image) := t if {
	parts := split(image, ":")
	t := trim_left(parts[count(parts) - 1], "v")
}

name(image) := split(image, ":")[0]

deny contains msg if {
	some c in input.containers
	minimum := data.images.minimum[name(c.image)]
	semver.is_valid(tag(c.image))
	semver.compare(tag(c.image), minimum) == -1
	msg := sprintf("%s: %s is older than %s", [c.name, c.image, minimum])
}

deny contains msg if {
	some c in input.containers
	not semver.is_valid(tag(c.image))
	msg := sprintf("%s: the tag of %s is no version", [c.name, c.image])
}

digest_pinned if {
	every c in input.containers {
		regex.match(`@sha256:[a-f0-9]{64}$`, c.image)
	}
}

order := numbers.range(1, count(input.containers))

numbered := {i: input.containers[i - 1].name | some i in order}
