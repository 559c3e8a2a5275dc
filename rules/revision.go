package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// digest notes the content of one source, by the hex SHA-256 of its text. What it is goes with it, since a text is another
// thing as data; where it lies does not, except for data, whose folder is part of what it says.
func (l *loader) digest(kind, sum string) { l.digests = append(l.digests, kind+" "+sum) }

// revision is a digest of all that decides: the contents, whatever the order in which they were read, and the options
// that change answers. It is 32 hex digits, half of a SHA-256.
func (l *loader) revision(o *Options) string {
	lines := slices.Clone(l.digests)
	slices.Sort(lines)
	lines = append(lines, "builtin "+strconv.FormatBool(o.Builtin), "entrypoint "+strings.Join(splitEntrypoint(o.Entrypoint), "/"))
	allowed := slices.Clone(o.AllowBuiltins)
	slices.Sort(allowed)
	lines = append(lines, "allow "+strings.Join(slices.Compact(allowed), " "))
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:16])
}

// splitEntrypoint is a path as people write it, a/b/c or data.a.b.c, as its steps.
func splitEntrypoint(path string) []string {
	if path == "" {
		return nil
	}
	sep := "/"
	if !strings.Contains(path, "/") && strings.HasPrefix(path, "data.") {
		path, sep = path[len("data."):], "."
	}
	return strings.FieldsFunc(path, func(r rune) bool { return string(r) == sep })
}
