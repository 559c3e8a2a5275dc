package rules

import "context"

// WatchByPolling is Watch as it goes on where the system cannot watch.
func WatchByPolling(ctx context.Context, paths []string, onChange func()) error {
	return watch(ctx, paths, onChange, nil)
}

// ReadJSON is what the parser of policies and data makes of JSON, written as JSON again.
func ReadJSON(src []byte) (string, bool) {
	n, bad := parseJSON(src)
	if bad != nil {
		return "", false
	}
	return string(n.appendJSON(nil)), true
}

// ReadYAML is the same of YAML; an empty document is empty.
func ReadYAML(src []byte) (string, bool) {
	n, bad := parseYAML(src)
	if bad != nil || n == nil {
		return "", bad == nil
	}
	return string(n.appendJSON(nil)), true
}

// Integer is the reading of a JSON number as an integer.
var Integer = integer
