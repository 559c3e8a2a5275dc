package rules

import (
	"slices"
	"strconv"

	"thymus/pdp"
)

// structured is a policy in the structured form of CONTRACT 3, checked.
type structured struct {
	id, name, version, description string
	enabled                        bool
	def                            pdp.Effect
	rules                          []structuredRule
	stray                          Problems // fields of enabled rules that no call has
}

type structuredRule struct {
	id, name, description, message string
	effect                         pdp.Effect
	priority                       int64
	enabled, guardrail             bool
	conditions                     []condition
	metadata                       *node // nil where there is none
	line                           int
}

type condition struct {
	field string // as it is written
	path  []string
	op    string
	value *node
}

// The keys that each level knows.
var (
	policyKeys    = []string{"policy_id", "name", "version", "description", "enabled", "default_effect", "rules"}
	ruleKeys      = []string{"rule_id", "name", "description", "effect", "priority", "enabled", "guardrail", "conditions", "message", "metadata"}
	conditionKeys = []string{"field", "operator", "value"}
	effectWords   = []string{"allow", "deny", "warn", "audit"}
)

// maxID bounds policy and rule ids, in bytes.
const maxID = 256

// readStructured checks a document that has policy_id and returns the policy; false where problems were added.
func readStructured(file string, doc *node, problems *Problems) (*structured, bool) {
	r := structuredReader{file: file, problems: problems, before: len(*problems)}
	p := &structured{enabled: true}
	if id := doc.get("policy_id"); id != nil && id.kind == pdp.String {
		r.policy = id.text
	}
	r.keys("", doc, policyKeys)
	p.id = r.str("", doc, "policy_id", true)
	if p.id != "" {
		r.checkPolicyID(doc.get("policy_id"), p.id)
	}
	p.name = r.str("", doc, "name", false)
	p.version = r.str("", doc, "version", false)
	p.description = r.str("", doc, "description", false)
	p.enabled = r.boolean("", doc, "enabled", true)
	p.def = r.effect("", doc, "default_effect", false)
	rules := r.array("", doc, "rules", true)
	seen := map[string]bool{}
	for i, n := range rules {
		at := place("", "rules", i)
		if n.kind != pdp.Object {
			r.fail(at, n, "expected a rule, an object, found "+kindName(n.kind))
			continue
		}
		rule := r.rule(at, n)
		if rule.id != "" && seen[rule.id] {
			r.fail(at+".rule_id", n.get("rule_id"), "another rule of this policy has the id "+strconv.Quote(rule.id))
		}
		seen[rule.id] = true
		if rule.enabled {
			p.stray = append(p.stray, r.stray...)
		}
		r.stray = nil
		p.rules = append(p.rules, rule)
	}
	return p, len(*problems) == r.before
}

type structuredReader struct {
	file, policy, ruleID string
	problems             *Problems
	before               int
	stray                Problems
}

func (r *structuredReader) fail(field string, n *node, detail string) {
	r.problems.add(Problem{File: r.file, Line: n.line, Column: n.col, Policy: r.policy, Rule: r.ruleID, Field: field, Detail: detail})
}

func (r *structuredReader) checkPolicyID(n *node, id string) {
	empty := true
	for _, c := range []byte(id) {
		switch {
		case c == '.':
			if empty {
				r.fail("policy_id", n, "a policy id has no empty part between dots")
				return
			}
			empty = true
		case c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			empty = false
		default:
			r.fail("policy_id", n, "a policy id consists of letters, digits, _ . and -")
			return
		}
	}
	if empty {
		r.fail("policy_id", n, "a policy id has no empty part between dots")
	}
}

func (r *structuredReader) rule(at string, n *node) structuredRule {
	if id := n.get("rule_id"); id != nil && id.kind == pdp.String {
		r.ruleID = id.text
	}
	defer func() { r.ruleID = "" }()
	r.keys(at, n, ruleKeys)
	rule := structuredRule{line: n.line}
	rule.id = r.str(at, n, "rule_id", true)
	rule.name = r.str(at, n, "name", false)
	rule.description = r.str(at, n, "description", false)
	rule.message = r.str(at, n, "message", false)
	rule.effect = r.effect(at, n, "effect", true)
	rule.enabled = r.boolean(at, n, "enabled", true)
	rule.guardrail = r.boolean(at, n, "guardrail", false)
	if p := n.get("priority"); p != nil {
		i, ok := integer(p.text)
		if p.kind != pdp.Number || !ok {
			r.fail(at+".priority", p, "expected an integer of 64 bits, found "+describe(p))
		}
		rule.priority = i
	}
	if m := n.get("metadata"); m != nil {
		if m.kind != pdp.Object {
			r.fail(at+".metadata", m, "expected an object, found "+kindName(m.kind))
		}
		rule.metadata = m
	}
	for i, c := range r.array(at, n, "conditions", false) {
		cat := place(at, "conditions", i)
		if c.kind != pdp.Object {
			r.fail(cat, c, "expected a condition, an object, found "+kindName(c.kind))
			continue
		}
		if cond, ok := r.condition(cat, c); ok {
			rule.conditions = append(rule.conditions, cond)
		}
	}
	return rule
}

func (r *structuredReader) keys(at string, n *node, known []string) {
	for i := range n.members {
		m := &n.members[i]
		if !slices.Contains(known, m.key) {
			r.problems.add(Problem{File: r.file, Line: m.line, Column: m.col, Policy: r.policy, Rule: r.ruleID,
				Field: join(at, m.key), Detail: "unknown key", Nearest: nearest(m.key, known)})
		}
	}
}

func (r *structuredReader) member(at string, n *node, key string, required bool) *node {
	m := n.get(key)
	if m == nil && required {
		r.fail(join(at, key), n, "is required")
	}
	return m
}

func (r *structuredReader) str(at string, n *node, key string, required bool) string {
	m := r.member(at, n, key, required)
	switch {
	case m == nil:
		return ""
	case m.kind != pdp.String:
		hint := ""
		if m.kind == pdp.Number || m.kind == pdp.True || m.kind == pdp.False {
			hint = "; put it in quotes"
		}
		r.fail(join(at, key), m, "expected a string, found "+describe(m)+hint)
		return ""
	case required && m.text == "":
		r.fail(join(at, key), m, "must not be empty")
	case required && len(m.text) > maxID:
		r.fail(join(at, key), m, "is longer than "+strconv.Itoa(maxID)+" bytes")
	}
	return m.text
}

func (r *structuredReader) boolean(at string, n *node, key string, absent bool) bool {
	m := n.get(key)
	if m == nil {
		return absent
	}
	if m.kind != pdp.True && m.kind != pdp.False {
		r.fail(join(at, key), m, "expected true or false, found "+describe(m))
	}
	return m.kind == pdp.True
}

func (r *structuredReader) effect(at string, n *node, key string, required bool) pdp.Effect {
	m := r.member(at, n, key, required)
	if m == nil {
		return pdp.None
	}
	e, ok := pdp.ParseEffect(m.text)
	if m.kind != pdp.String || !ok {
		r.problems.add(Problem{File: r.file, Line: m.line, Column: m.col, Policy: r.policy, Rule: r.ruleID, Field: join(at, key),
			Detail: "expected allow, deny, warn or audit, found " + describe(m), Nearest: nearest(m.text, effectWords)})
	}
	return e
}

func (r *structuredReader) array(at string, n *node, key string, required bool) []*node {
	m := r.member(at, n, key, required)
	if m == nil {
		return nil
	}
	if m.kind != pdp.Array {
		r.fail(join(at, key), m, "expected an array, found "+kindName(m.kind))
	}
	return m.items
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// describe is a scalar as it stands, in quotes and cut if it is a string, and the name of the type otherwise.
func describe(n *node) string {
	switch n.kind {
	case pdp.String:
		if len(n.text) > 40 {
			return strconv.Quote(n.text[:40]) + "..."
		}
		return strconv.Quote(n.text)
	case pdp.Number, pdp.True, pdp.False:
		return string(n.appendJSON(nil))
	}
	return kindName(n.kind)
}
