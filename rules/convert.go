package rules

import "bytes"

// Convert turns a structured policy, JSON or YAML, into the Rego that it is compiled to, with METADATA and comments for
// people. Its error is Problems.
func Convert(text []byte) ([]byte, error) {
	l := loader{}
	const origin = "policy"
	doc, ok := l.parse(origin, bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")), text)
	if ok && (doc == nil || doc.get("policy_id") == nil) {
		l.problems.add(Problem{Detail: "expected a structured policy, an object with policy_id"})
	}
	if err := l.problems.orNil(); err != nil {
		return nil, err
	}
	p, ok := readStructured("", doc, &l.problems)
	if !ok {
		return nil, l.problems.orNil()
	}
	return generate(p, true).text, nil
}
