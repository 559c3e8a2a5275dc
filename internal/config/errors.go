package config

import (
	"cmp"
	"slices"
	"strings"
)

// Error is one thing that is wrong with the configuration.
type Error struct {
	Place  string // "thymus.yaml:3", "THYMUS_DATA_LISTEN", "--listen"; empty where the key says it all
	Key    string // the key at fault; empty where none is
	Detail string // what is wrong and what was expected

	line int
}

// Error is the message on one line: place, key, detail.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Place != "" {
		b.WriteString(e.Place + ": ")
	}
	if e.Key != "" {
		b.WriteString(`key "` + e.Key + `": `)
	}
	b.WriteString(e.Detail)
	return b.String()
}

// Errors is everything that is wrong with the configuration, in the order of the sources: file by line, environment by
// name, flags, then what only shows when the sources are taken together.
type Errors []*Error

// Error is one line an error.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each of them.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// byLine sorts the errors of one file.
func byLine(es []*Error) {
	slices.SortStableFunc(es, func(a, b *Error) int { return cmp.Compare(a.line, b.line) })
}
