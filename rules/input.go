package rules

import (
	"slices"
	"strings"
)

// shape is what the canonical input holds at a place: nothing but the members, or, without any, whatever the caller sent.
type shape map[string]shape

var (
	free   = shape{}    // the caller's own
	scalar = shape(nil) // a text or a number: nothing lies in it
	entity = shape{"type": scalar, "id": scalar, "properties": free}
	// canonical is the document that policies see (CONTRACT 1), with what a proxy's call adds (CONTRACT 7).
	canonical = shape{
		"subject": entity, "resource": entity,
		"action":  shape{"name": scalar, "properties": free},
		"context": free,
		"peer":    shape{"surface": scalar, "transport": scalar, "uid": scalar, "gid": scalar, "pid": scalar, "principal": scalar},

		"attributes": free, "parsed_path": free, "parsed_query": free, "parsed_body": free, "truncated_body": scalar,
		"source_principal": scalar, "version": free,
	}
)

// habits are names that people write out of habit, and those that they mean.
var habits = map[string]string{"role": "agent_role", "agent": "agent_id", "user": "agent_id", "user_id": "agent_id", "subject_id": "agent_id",
	"env": "environment", "action_name": "action", "resource_id": "resource"}

// stray says why no call has a field, and which may be meant; nothing where a call may have it. What lies in properties,
// context and the like is the caller's own, and cannot be wrong.
func stray(field string, path []string) (why, meant string) {
	at := canonical
	for i, step := range path {
		if at == nil {
			return quote(strings.Join(path[:i], ".")) + " is a text or a number, in which nothing lies", shortest(path[:i])
		}
		if len(at) == 0 {
			return "", ""
		}
		next, ok := at[step]
		if ok {
			at = next
			continue
		}
		if i == 0 {
			return "no call has " + quote(step) + " in its input", meantAtTop(field, path)
		}
		where := strings.Join(path[:i], ".")
		names := sortedKeys(at)
		why = quote(where) + " of the input has " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
		switch near := nearest(step, names); {
		case near != "":
			meant = strings.Join(append([]string{where, near}, path[i+1:]...), ".")
		case slices.Contains(names, "properties"):
			meant = strings.Join(append([]string{where, "properties"}, path[i:]...), ".")
		}
		return why, meant
	}
	return "", ""
}

// meantAtTop is the field that may be meant by one whose first step is none of the input's.
func meantAtTop(field string, path []string) string {
	if rest, ok := strings.CutPrefix(field, "input."); ok {
		if p, ok := fieldPath(rest); ok {
			if why, _ := stray(rest, p); why == "" {
				return rest
			}
		}
	}
	if near := nearest(field, sortedKeys(shortFields)); near != "" && strings.Count(near, ".") == strings.Count(field, ".") {
		return near
	}
	names := append(sortedKeys(canonical), sortedKeys(shortFields)...)
	first := habits[path[0]]
	if first == "" {
		first = nearest(path[0], names)
	}
	if first == "" || first == path[0] {
		return first
	}
	meant := strings.Join(append([]string{first}, path[1:]...), ".")
	if p, ok := fieldPath(meant); ok {
		if why, _ := stray(meant, p); why != "" {
			return first
		}
	}
	return meant
}

// shortest is the name of a path that people write.
func shortest(path []string) string {
	for _, name := range sortedKeys(shortFields) {
		if slices.Equal(shortFields[name], path) {
			return name
		}
	}
	return strings.Join(path, ".")
}
