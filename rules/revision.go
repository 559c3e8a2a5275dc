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
func (l *loader) digest(kind string, k *kept) {
	if len(k.line) != len(kind)+1+len(k.digest) || k.line[:len(kind)] != kind {
		k.line = kind + " " + k.digest
	}
	l.digests = append(l.digests, k.line)
}

// revision is a digest of all that decides: the contents, whatever the order in which they were read, and the options
// that change answers. It is 32 hex digits, half of a SHA-256.
func (l *loader) revision(o *Options) string {
	h := sha256.New()
	var buf []byte
	line := func(s string) {
		buf = append(append(buf[:0], s...), '\n')
		_, _ = h.Write(buf) // never fails
	}
	for _, s := range l.cache.digests.sort(l.digests) {
		line(s)
	}
	line("builtin " + strconv.FormatBool(o.Builtin))
	line("entrypoint " + strings.Join(splitEntrypoint(o.Entrypoint), "/"))
	allowed := slices.Clone(o.AllowBuiltins)
	slices.Sort(allowed)
	_, _ = h.Write([]byte("allow " + strings.Join(slices.Compact(allowed), " ")))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// sorter sorts lists one after the other that differ in little.
type sorter struct{ given, sorted []string }

// sort returns the list sorted, and keeps both. Where it is the one before but for a stretch, only that stretch is sorted:
// the rest is in order already.
func (c *sorter) sort(list []string) []string {
	was, is := c.given, list
	for len(was) > 0 && len(is) > 0 && was[0] == is[0] {
		was, is = was[1:], is[1:]
	}
	for len(was) > 0 && len(is) > 0 && was[len(was)-1] == is[len(is)-1] {
		was, is = was[:len(was)-1], is[:len(is)-1]
	}
	gone, come := slices.Sorted(slices.Values(was)), slices.Sorted(slices.Values(is))
	out := make([]string, 0, len(list))
	for _, s := range c.sorted {
		if len(gone) > 0 && s == gone[0] {
			gone = gone[1:]
			continue
		}
		for len(come) > 0 && come[0] < s {
			out, come = append(out, come[0]), come[1:]
		}
		out = append(out, s)
	}
	out = append(out, come...)
	c.given, c.sorted = list, out
	return out
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
