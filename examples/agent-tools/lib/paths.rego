# A library: no effect rules, so no policy.
package lib.paths

# inside is true for an absolute path at or below a folder. A path with a parent segment is inside nothing.
inside(path, folder) if {
	clean(path)
	path == folder
}

inside(path, folder) if {
	clean(path)
	startswith(path, concat("", [folder, "/"]))
}

clean(path) if {
	startswith(path, "/")
	not ".." in split(path, "/")
}
