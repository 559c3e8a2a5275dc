package rules

import (
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// shortFields are the names of CONTRACT 3 for paths into the input document (CONTRACT 1).
var shortFields = map[string][]string{
	"agent_id":    {"subject", "id"},
	"agent_role":  {"subject", "properties", "role"},
	"agent.role":  {"subject", "properties", "role"},
	"action":      {"action", "name"},
	"resource":    {"resource", "id"},
	"params":      {"action", "properties"},
	"environment": {"context"},
}

// fieldPath is the path into the input that a condition's field names; false where it has an empty step.
func fieldPath(field string) ([]string, bool) {
	if p, ok := shortFields[field]; ok {
		return p, true
	}
	steps := strings.Split(field, ".")
	for _, s := range steps {
		if s == "" {
			return nil, false
		}
	}
	if steps[0] == "params" || steps[0] == "environment" {
		base := shortFields[steps[0]]
		return append(base[:len(base):len(base)], steps[1:]...), true
	}
	return steps, true
}

// reference is the path as Rego: input.a.b, with brackets where a step is no identifier.
func reference(root string, path []string) string {
	var b strings.Builder
	b.WriteString(root)
	for _, s := range path {
		if isIdentifier(s) {
			b.WriteString("." + s)
		} else {
			b.WriteString("[" + quote(s) + "]")
		}
	}
	return b.String()
}

// isIdentifier says whether a step can stand behind a dot in Rego.
func isIdentifier(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && !ast.IsKeywordInRegoVersion(s, ast.RegoV1)
}

// quote is s as a string literal that JSON, YAML and Rego read alike.
func quote(s string) string { return string(appendQuote(nil, s)) }

func appendQuote(dst []byte, s string) []byte {
	return (&node{kind: pdp.String, text: s}).appendJSON(dst)
}

// packageOf is the Rego package of a policy id.
func packageOf(id string) string { return reference("policies", strings.Split(id, ".")) }

// place is a field such as rules[2].conditions[0].
func place(parent, list string, i int) string {
	if parent != "" {
		parent += "."
	}
	return parent + list + "[" + strconv.Itoa(i) + "]"
}
