package rules

import (
	"bytes"
	"slices"
	"strings"

	"thymus/pdp"
)

// Files is what lies at the paths of a set of policies, read: a set can be made of it again whatever becomes of the
// files. It is immutable.
type Files struct{ list []file }

// ReadFiles reads what paths name. Its error is Problems.
func ReadFiles(paths []string) (*Files, error) {
	var problems Problems
	f := &Files{readFiles(paths, &problems)}
	return f, problems.orNil()
}

func (o *Options) files(problems *Problems) []file {
	if o.Files != nil {
		return o.Files.list
	}
	return readFiles(o.Paths, problems)
}

// JSON is a document, JSON or YAML by its first character, as one line of JSON; members keep their order and numbers
// their text. Its error is Problems. An empty document is null.
func JSON(text []byte) ([]byte, error) {
	l := loader{}
	doc, ok := l.parse("", bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")), text)
	if !ok {
		return nil, l.problems.orNil()
	}
	if doc == nil {
		return []byte("null"), nil
	}
	return doc.appendJSON(nil), nil
}

// StructuredID is the id of a structured policy, which is checked by itself: whether it compiles with others is not.
// Its error is Problems.
func StructuredID(text []byte) (string, error) {
	l := loader{}
	doc, ok := l.parse("", bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")), text)
	if !ok {
		return "", l.problems.orNil()
	}
	if doc == nil || doc.kind != pdp.Object {
		return "", Problems{{Detail: "expected a policy, an object"}}
	}
	p, ok := readStructured("", doc, &l.problems)
	if !ok {
		return "", l.problems.orNil()
	}
	return p.id, nil
}

// RegoID is the id of the policy that a module's package names, without looking at anything else. Its error is
// Problems.
func RegoID(text []byte) (string, error) {
	l := loader{}
	m, ok := parseRego("policy", text, &l.problems)
	if !ok {
		return "", l.problems.orNil()
	}
	id := policyID(m.Package)
	if id == "" {
		loc := m.Package.Location
		return "", Problems{{File: "policy", Line: loc.Row, Column: loc.Col, Field: "package",
			Detail: "a policy needs a name below policies; write package policies.NAME"}}
	}
	return id, nil
}

// Deciding is the part of a policy's texts that decides: the rules of a structured policy, modules without comments and
// METADATA. It is for comparison only.
func Deciding(form Form, texts []Text) []byte {
	var out []byte
	for _, t := range texts {
		l := loader{}
		if form == FormStructured {
			doc, ok := l.parse("", bytes.HasPrefix(bytes.TrimLeft(t.Text, " \t\r\n"), []byte("{")), t.Text)
			if ok && doc != nil && doc.get("rules") != nil {
				out = doc.get("rules").appendJSON(out)
			}
			continue
		}
		m, ok := parseRego(t.Origin, t.Text, &l.problems)
		if !ok {
			continue
		}
		out = append(out, m.Package.String()...)
		var lines []string
		for _, i := range m.Imports {
			lines = append(lines, i.String())
		}
		slices.Sort(lines)
		for _, r := range m.Rules {
			lines = append(lines, r.String())
		}
		out = append(out, strings.Join(lines, "\n")...)
	}
	return out
}

// Equal says whether two readings found the same.
func (f *Files) Equal(g *Files) bool {
	return slices.EqualFunc(f.list, g.list, func(a, b file) bool { return a.name == b.name && bytes.Equal(a.text, b.text) })
}
