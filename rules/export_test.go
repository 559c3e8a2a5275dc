package rules

import (
	"context"
)

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

// ResultText is all of a result that matters, as text.
var ResultText = resultText

// GiveWrongNative makes set answer natively what wrong answers, as an engine with a fault would.
func GiveWrongNative(set, wrong *Set) error {
	d, other := set.Snapshot.Eval.(*dual), wrong.Snapshot.Eval.(*dual)
	d.native = other.engine(wrong.Snapshot, d.parts)
	set.Engine.stats = d.native.Stats
	return nil
}

// PlaceName is how the reasons of decisions call a file.
func PlaceName(file string) string { return placeName(file) }

// Sorter is sorter.
type Sorter = sorter

// Sort is sort.
func (c *sorter) Sort(list []string) []string { return c.sort(list) }
