package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration file, so that a wrong path (a device, a data file) is refused and not read.
const maxFile = MiB

// file reads the YAML file, if any.
func (l *loader) file() {
	path, by := l.o.File, "--config"
	if path == "" {
		for _, kv := range l.o.Environ {
			if v, ok := strings.CutPrefix(kv, FileEnv+"="); ok && v != "" {
				path, by = v, FileEnv
			}
		}
	}
	if path == "" {
		return
	}
	text, err := readBounded(path)
	if err != nil {
		l.fail(by, "", "%s", reason(err))
		return
	}
	f := fileLoader{loader: l, path: path}
	f.read(text)
	byLine(f.found)
	l.errs = append(l.errs, f.found...)
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(maxFile)+1))
	if err != nil {
		return nil, err
	}
	if len(text) > int(maxFile) {
		return nil, fmt.Errorf("%s: larger than %s, expected a YAML file", path, maxFile)
	}
	return text, nil
}

// reason is a file system error as "path: cause".
func reason(err error) string {
	if p := new(os.PathError); errors.As(err, &p) {
		return p.Path + ": " + p.Err.Error()
	}
	return err.Error()
}

// fileLoader walks one YAML file.
type fileLoader struct {
	*loader
	path  string
	found []*Error
}

func (f *fileLoader) failAt(line int, key, format string, args ...any) {
	f.found = append(f.found, &Error{
		Place: fmt.Sprintf("%s:%d", f.path, line), Key: key, Detail: fmt.Sprintf(format, args...), line: line,
	})
}

func (f *fileLoader) read(text []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return
	case err != nil:
		f.syntax(err)
		return
	}
	var more yaml.Node
	if err := dec.Decode(&more); err == nil {
		f.failAt(more.Line, "", "a second document, expected one")
	} else if !errors.Is(err, io.EOF) {
		f.syntax(err)
	}
	f.section("", doc.Content[0])
}

// syntax reports what the YAML parser says, with its line moved to where ours stand.
func (f *fileLoader) syntax(err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if n, _ := fmt.Sscanf(msg, "line %d:", &line); n == 1 {
		_, msg, _ = strings.Cut(msg, ": ")
	}
	f.failAt(line, "", "no YAML: %s", msg)
}

// section reads the mapping below a name.
func (f *fileLoader) section(name string, n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // "data:" with all below it commented out
	}
	if n.Kind != yaml.MappingNode {
		f.failAt(n.Line, name, "expected a mapping of keys, got %s", kindName(n))
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f.member(name, n.Content[i], n.Content[i+1], lines)
	}
}

func (f *fileLoader) member(section string, key, value *yaml.Node, lines map[string]int) {
	if key.Kind != yaml.ScalarNode {
		f.failAt(key.Line, section, "expected a key, got %s", kindName(key))
		return
	}
	if key.Tag == "!!merge" {
		f.failAt(key.Line, section, "merge keys (<<) are not read, expected each key in its place")
		return
	}
	name := key.Value
	if section != "" {
		name = section + "." + name
	}
	if first, ok := lines[name]; ok {
		f.failAt(key.Line, name, "stands twice, first on line %d", first)
		return
	}
	lines[name] = key.Line
	k, known := f.byKey[name]
	switch {
	case strings.Contains(key.Value, "."):
		f.failAt(key.Line, name, "%s", f.nested(name))
	case known:
		f.value(k, value)
	case f.isSection(name):
		f.section(name, value)
	default:
		f.failAt(key.Line, name, "%s", f.unknown(name))
	}
}

func (f *fileLoader) isSection(name string) bool {
	for i := range f.keys {
		if strings.HasPrefix(f.keys[i].Name, name+".") {
			return true
		}
	}
	return false
}

// nested is for a key that is written with its dots.
func (f *fileLoader) nested(name string) string {
	if _, ok := f.byKey[name]; !ok {
		return f.unknown(name)
	}
	return "in YAML the dots are nesting: expected " + strings.ReplaceAll(name, ".", ": {") + ": ..." +
		strings.Repeat("}", strings.Count(name, "."))
}

// value reads one key's value.
func (f *fileLoader) value(k *Key, n *yaml.Node) {
	line := n.Line
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	var texts []string
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		f.failAt(line, k.Name, "got nothing, expected %s", k.expected())
		f.bad[k.Name] = true
		return
	case n.Kind == yaml.ScalarNode:
		texts = k.split(n.Value)
	case n.Kind == yaml.SequenceNode && k.List:
		texts = make([]string, 0, len(n.Content))
		for _, e := range n.Content {
			if e.Kind == yaml.AliasNode {
				e = e.Alias
			}
			if e.Kind != yaml.ScalarNode {
				f.failAt(e.Line, k.Name, "got %s in the list, expected %s", kindName(e), k.Expect)
				f.bad[k.Name] = true
				return
			}
			texts = append(texts, e.Value)
		}
	default:
		f.failAt(line, k.Name, "got %s, expected %s", kindName(n), k.Expect)
		f.bad[k.Name] = true
		return
	}
	if detail := f.set(k, texts, fmt.Sprintf("%s:%d", f.path, line)); detail != "" {
		f.failAt(line, k.Name, "%s", detail)
	}
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}
