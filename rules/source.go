package rules

import "bytes"

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
