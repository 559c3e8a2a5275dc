package rules

import (
	"bytes"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"thymus/pdp"
)

// yamlNodes bounds what aliases can make of a file: a file without them has no more nodes than bytes.
func yamlNodes(src []byte) int { return 10_000 + 8*len(src) }

// parseYAML reads one YAML document as the JSON it stands for, with the place of every value. Numbers keep their text
// where it is a JSON number. What JSON has no word for is refused, except a plain date, which is the string it looks
// like. A nil node without a problem is an empty file.
func parseYAML(src []byte) (*node, *Problem) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, yamlProblem(err)
	}
	if err := dec.Decode(&more); err == nil {
		return nil, &Problem{Line: more.Line, Column: max(more.Column, 1),
			Detail: "a second YAML document in one file; put it into a file of its own"}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlProblem(err)
	}
	c := yamlConverter{left: yamlNodes(src)}
	n := c.convert(&doc, 0)
	if c.bad != nil {
		return nil, c.bad
	}
	return n, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func yamlProblem(err error) *Problem {
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	line, _ := strconv.Atoi(m[1])
	return &Problem{Line: line, Detail: "not valid YAML: " + text[len(m[0]):]}
}

type yamlConverter struct {
	bad  *Problem
	left int
}

func (c *yamlConverter) fail(y *yaml.Node, detail string) *node {
	if c.bad == nil {
		c.bad = &Problem{Line: y.Line, Column: y.Column, Detail: detail}
	}
	return nil
}

func (c *yamlConverter) convert(y *yaml.Node, depth int) *node {
	if c.left--; c.left < 0 {
		return c.fail(y, "aliases make this document too large")
	}
	if depth > maxDocDepth {
		return c.fail(y, "nested deeper than "+strconv.Itoa(maxDocDepth)+" levels")
	}
	n := &node{line: y.Line, col: y.Column}
	switch y.Kind {
	case yaml.DocumentNode:
		return c.convert(y.Content[0], depth)
	case yaml.AliasNode:
		return c.convert(y.Alias, depth+1)
	case yaml.SequenceNode:
		n.kind = pdp.Array
		for _, item := range y.Content {
			v := c.convert(item, depth+1)
			if c.bad != nil {
				return nil
			}
			n.items = append(n.items, v)
		}
		return n
	case yaml.MappingNode:
		return c.mapping(y, n, depth)
	}
	return c.scalar(y, n)
}

func (c *yamlConverter) mapping(y *yaml.Node, n *node, depth int) *node {
	n.kind = pdp.Object
	seen := make(map[string]bool, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.ShortTag() == "!!merge" {
			return c.fail(k, "merge keys (<<) are not supported; write the members out")
		}
		if k.Kind != yaml.ScalarNode {
			return c.fail(k, "a key must be a string")
		}
		if seen[k.Value] {
			return c.fail(k, "the key "+strconv.Quote(k.Value)+" stands here twice")
		}
		seen[k.Value] = true
		v := c.convert(y.Content[i+1], depth+1)
		if c.bad != nil {
			return nil
		}
		n.members = append(n.members, member{key: k.Value, line: k.Line, col: k.Column, value: v})
	}
	return n
}

func (c *yamlConverter) scalar(y *yaml.Node, n *node) *node {
	n.text = y.Value
	switch y.ShortTag() {
	case "!!str", "!!timestamp":
		n.kind = pdp.String
	case "!!null":
		n.kind, n.text = pdp.Null, ""
	case "!!bool":
		n.kind, n.text = pdp.False, ""
		if strings.EqualFold(y.Value, "true") {
			n.kind = pdp.True
		}
	case "!!int", "!!float":
		text, ok := yamlNumber(y)
		if !ok {
			return c.fail(y, strconv.Quote(y.Value)+" is no JSON number; write it in decimal, or in quotes if a string is meant")
		}
		n.kind, n.text = pdp.Number, text
	default:
		return c.fail(y, "the tag "+y.Tag+" has no JSON value")
	}
	return n
}

// yamlNumber is the JSON text of a YAML number, exact.
func yamlNumber(y *yaml.Node) (string, bool) {
	if isNumber(y.Value) {
		return y.Value, true
	}
	s, minus := strings.TrimPrefix(y.Value, "+"), ""
	if strings.HasPrefix(s, "-") {
		s, minus = s[1:], "-"
	}
	if strings.HasPrefix(s, ".") {
		s = "0" + s
	}
	s = strings.TrimSuffix(s, ".")
	if isNumber(minus + s) {
		return minus + s, true
	}
	if len(s) > 2 && s[0] == '0' && strings.IndexByte("xob", s[1]) >= 0 {
		if u, err := strconv.ParseUint(s, 0, 64); err == nil && u <= math.MaxInt64 {
			return minus + strconv.FormatUint(u, 10), true
		}
	}
	return "", false
}
