package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"thymus/internal/config"
)

// maxOPAFile bounds OPA's configuration file, in bytes.
const maxOPAFile = 1 << 20

// fromOPA writes the configuration that answers as OPA did with the configuration file path: a YAML document that can
// be loaded as it is, with what each line came from, and behind it what has no counterpart and what to do instead. What
// OPA itself would refuse is an error.
func fromOPA(path string, std Stdio) error {
	text, err := readOPA(path)
	if err != nil {
		return err
	}
	m := &opaMigration{path: path}
	if text, err = m.substitute(text, std.Environ); err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) > 0 {
		m.walk("", opaKeys(), doc.Content[0])
	}
	if len(m.errs) > 0 {
		return errors.Join(m.errs...)
	}
	m.always()
	out, err := m.document()
	if err != nil {
		return err
	}
	_, err = std.Out.Write(out)
	return err
}

func readOPA(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxOPAFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(text) > maxOPAFile {
		return nil, fmt.Errorf("%s: more than %d bytes, expected a configuration file of OPA", path, maxOPAFile)
	}
	return text, nil
}

// opaMigration is one file on its way.
type opaMigration struct {
	path  string
	envoy bool       // the file has a section of opa-envoy-plugin's
	set   []opaValue // by key of Thymus
	left  []string   // what is not taken over
	errs  []error
}

// opaValue is one line of the new document.
type opaValue struct {
	key, value string
	from       string // said in its comment
}

// opaKey is what becomes of one key of OPA's: exactly one of the three.
type opaKey struct {
	take  func(m *opaMigration, name string, v *yaml.Node) // it has a counterpart
	left  string                                           // it has none: what to do instead
	below map[string]opaKey                                // it is a section
}

var opaVariable = regexp.MustCompile(`\$\{[^}]+\}`)

// substitute puts environment variables in as OPA does, but does not take a missing one for an empty text.
func (m *opaMigration) substitute(text []byte, environ []string) ([]byte, error) {
	var missing []error
	text = opaVariable.ReplaceAllFunc(text, func(v []byte) []byte {
		name := string(v[2 : len(v)-1])
		for _, kv := range slices.Backward(environ) {
			if value, ok := strings.CutPrefix(kv, name+"="); ok {
				return []byte(value)
			}
		}
		missing = append(missing, fmt.Errorf("%s: ${%s}: there is no such variable in the environment", m.path, name))
		return v
	})
	return text, errors.Join(missing...)
}

// walk takes over one section.
func (m *opaMigration) walk(section string, keys map[string]opaKey, v *yaml.Node) {
	if v.Kind == yaml.AliasNode {
		v = v.Alias
	}
	m.envoy = m.envoy || strings.HasPrefix(section, "plugins.envoy")
	if v.Tag == "!!null" {
		return
	}
	if v.Kind != yaml.MappingNode {
		m.fail(v, section, "expected a mapping")
		return
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		name, value := v.Content[i].Value, v.Content[i+1]
		full := strings.TrimPrefix(section+"."+name, ".")
		k, ok := keys[name]
		switch {
		case !ok:
			m.leave(value, full, "not a key that is known here; "+nearestOPA(name, keys))
		case k.below != nil:
			m.walk(full, k.below, value)
		case k.take != nil:
			k.take(m, full, value)
		case k.left != "":
			m.leave(value, full, k.left)
		}
	}
}

func nearestOPA(name string, keys map[string]opaKey) string {
	var names []string
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names)
	return fmt.Sprintf("the nearest one is %q", config.Nearest(name, names))
}

func (m *opaMigration) fail(v *yaml.Node, name, format string, args ...any) {
	if name == "" {
		name = "document"
	}
	m.errs = append(m.errs, fmt.Errorf("%s:%d: %s: %s", m.path, v.Line, name, fmt.Sprintf(format, args...)))
}

func (m *opaMigration) put(v *yaml.Node, name, key, value, remark string) {
	from := fmt.Sprintf("%s:%d %s", m.path, v.Line, name)
	if remark != "" {
		from += "; " + remark
	}
	m.set = append(m.set, opaValue{key: key, value: value, from: from})
}

func (m *opaMigration) leave(v *yaml.Node, name, why string) {
	m.left = append(m.left, fmt.Sprintf("%s:%d %s: %s", m.path, v.Line, name, why))
}

// document prints the result in the order of the schema.
func (m *opaMigration) document() ([]byte, error) {
	var b bytes.Buffer
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range config.Schema() {
		i := slices.IndexFunc(m.set, func(v opaValue) bool { return v.key == k.Name })
		if i < 0 {
			continue
		}
		at := root
		parts := strings.Split(k.Name, ".")
		for _, p := range parts[:len(parts)-1] {
			at = child(at, p)
		}
		leaf := &yaml.Node{Kind: yaml.ScalarNode, Value: m.set[i].value, LineComment: "# " + m.set[i].from}
		at.Content = append(at.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: parts[len(parts)-1]}, leaf)
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, err
	}
	if len(m.left) > 0 {
		b.WriteString("\n# Not taken over:\n")
		for _, l := range m.left {
			b.WriteString("#   " + strings.ReplaceAll(l, "\n", " ") + "\n")
		}
	}
	return b.Bytes(), enc.Close()
}

// child finds or makes the section of a mapping.
func child(at *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(at.Content); i += 2 {
		if at.Content[i].Value == name {
			return at.Content[i+1]
		}
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	at.Content = append(at.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, n)
	return n
}
