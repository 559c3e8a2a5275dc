package config

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is the whole effective configuration as YAML that can be loaded again, each value's origin in a comment,
// with docs also what each key is for. Secrets are masked, and a masked one is refused when it is loaded.
func (c *Config) Document(docs bool) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	sections := map[string]*yaml.Node{"": root}
	for _, k := range Schema() {
		section, leaf := "", k.Name
		if i := strings.LastIndexByte(k.Name, '.'); i >= 0 {
			section, leaf = k.Name[:i], k.Name[i+1:]
		}
		name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: leaf}
		if docs {
			name.HeadComment = k.describe()
		}
		into := mapping(sections, section)
		into.Content = append(into.Content, name, k.node(c))
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// mapping finds or makes the node of a section.
func mapping(sections map[string]*yaml.Node, name string) *yaml.Node {
	if n, ok := sections[name]; ok {
		return n
	}
	around, leaf := "", name
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		around, leaf = name[:i], name[i+1:]
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	p := mapping(sections, around)
	p.Content = append(p.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: leaf}, n)
	sections[name] = n
	return n
}

func (k *Key) describe() string {
	s := k.Doc
	if k.Derived != "" {
		s += "; empty: " + k.Derived
	}
	return "# " + s + "\n# " + k.Expect
}

// node is the value with its origin.
func (k *Key) node(c *Config) *yaml.Node {
	comment := "# " + c.Origin(k.Name)
	texts := k.get(c)
	for i := range texts {
		if k.mask != nil && texts[i] != "" {
			texts[i] = k.mask(texts[i])
		}
	}
	if !k.List {
		if texts[0] == "" && k.Derived != "" {
			comment += ": " + k.Derived
		}
		n := k.scalar(texts[0])
		n.LineComment = comment
		return n
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, LineComment: comment}
	for _, t := range texts {
		n.Content = append(n.Content, k.scalar(t))
	}
	return n
}

func (k *Key) scalar(text string) *yaml.Node {
	tag := k.tag
	if tag == "" {
		tag = "!!str"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}
