package server

import (
	"fmt"
	"strings"
)

// globs bounds what the Data API answers. A glob is segments parted by "/": `*` in one stands for any characters of it,
// `?` for one, and `**` alone for one or more segments. The glob `**` is everything, the root included. nil lets
// everything pass.
type globs [][]string

// maxGlob bounds a glob's segments: matching tries them against each other.
const maxGlob = 64

func compileGlobs(patterns []string) (globs, error) {
	if patterns == nil {
		return nil, nil
	}
	g := globs{}
	for _, p := range patterns {
		if p == "**" {
			return nil, nil
		}
		segs := strings.Split(strings.Trim(p, "/"), "/")
		if len(segs) > maxGlob {
			return nil, fmt.Errorf("glob %q: expected at most %d segments", p, maxGlob)
		}
		for _, s := range segs {
			if s == "" {
				return nil, fmt.Errorf("glob %q: has an empty segment", p)
			}
			if s != "**" && strings.Contains(s, "**") {
				return nil, fmt.Errorf("glob %q: ** must stand alone between slashes", p)
			}
		}
		g = append(g, segs)
	}
	return g, nil
}

// allow says whether a path may be read. A parent of an allowed path is not allowed by it.
func (g globs) allow(path []string) bool {
	if g == nil {
		return true
	}
	for _, glob := range g {
		if matchPath(glob, path) {
			return true
		}
	}
	return false
}

// matchPath matches segments. It goes back only to the last `**`, so that it takes at most len(glob)*len(path) steps.
func matchPath(glob, path []string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(path) {
		switch {
		case i < len(glob) && glob[i] == "**":
			star, mark = i, j+1
			i, j = i+1, j+1
		case i < len(glob) && matchSegment(glob[i], path[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return i == len(glob)
}

// matchSegment matches `*` and `?` in one segment, in the same way.
func matchSegment(glob, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(glob) && glob[i] == '*':
			star, mark = i, j
			i++
		case i < len(glob) && (glob[i] == '?' || glob[i] == s[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(glob) && glob[i] == '*' {
		i++
	}
	return i == len(glob)
}
