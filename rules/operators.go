package rules

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"thymus/pdp"
)

// class is what an operator asks of the type of a field. A field that is there and does not fit is how a caller would
// slip past a deny rule.
type class string

const (
	anyType   class = ""         // compares every JSON value
	numbers   class = "number"   // > < >= <= with a number
	strs      class = "string"   // > < >= <= with a string, matches, glob, starts_with, ends_with
	container class = "contains" // a string, a number, a boolean or an array
	address   class = "address"  // cidr: a string that is an IP address
)

// operators in the order in which they are listed to users.
var operators = []string{"==", "!=", ">", "<", ">=", "<=", "contains", "matches", "in", "not_in", "starts_with", "ends_with", "glob", "cidr"}

// operatorAliases are words for operators that people write from habit; they are not accepted, only suggested.
var operatorAliases = map[string]string{"=": "==", "eq": "==", "equals": "==", "ne": "!=", "neq": "!=", "gt": ">", "lt": "<", "gte": ">=",
	"lte": "<=", "regex": "matches", "startswith": "starts_with", "endswith": "ends_with", "not in": "not_in", "<>": "!="}

// globDelimiters part the segments of what glob matches.
var globDelimiters = []string{".", "/", ":"}

// negated says that the operator is the exact negation of another: nothing can dodge it.
func (c *condition) negated() bool { return c.op == "!=" || c.op == "not_in" }

// class is what the condition asks of its field's type.
func (c *condition) class() class {
	switch c.op {
	case ">", "<", ">=", "<=":
		if c.value.kind == pdp.Number {
			return numbers
		}
		return strs
	case "matches", "glob", "starts_with", "ends_with":
		return strs
	case "contains":
		return container
	case "cidr":
		return address
	}
	return anyType
}

func (r *structuredReader) condition(at string, n *node) (condition, bool) {
	before := len(*r.problems)
	r.keys(at, n, conditionKeys)
	field := r.str(at, n, "field", true)
	c := condition{field: field, op: r.str(at, n, "operator", true), value: r.member(at, n, "value", true)}
	if field != "" {
		var ok bool
		if c.path, ok = fieldPath(field); !ok {
			r.fail(at+".field", n.get("field"), "a path has no empty step between its dots")
		} else if why, meant := stray(field, c.path); why != "" {
			f, holds := n.get("field"), "never"
			if c.negated() {
				holds = "always"
			}
			r.stray.add(Problem{File: r.file, Line: f.line, Column: f.col, Policy: r.policy, Rule: r.ruleID, Field: at + ".field",
				Detail: describe(f) + ": " + why + "; the condition " + holds + " holds", Nearest: meant})
		}
	}
	if c.op != "" && !slices.Contains(operators, c.op) {
		o := n.get("operator")
		near := operatorAliases[strings.ToLower(c.op)]
		if near == "" {
			near = nearest(c.op, operators)
		}
		r.problems.add(Problem{File: r.file, Line: o.line, Column: o.col, Policy: r.policy, Rule: r.ruleID, Field: at + ".operator",
			Detail: "unknown operator " + describe(o) + ", expected one of " + strings.Join(operators, " "), Nearest: near})
	} else if c.value != nil {
		if detail := checkValue(c.op, c.value); detail != "" {
			r.fail(at+".value", c.value, detail)
		}
	}
	return c, len(*r.problems) == before
}

// checkValue says what is wrong with an operator's value; empty where nothing is.
func checkValue(op string, v *node) string {
	wrong := func(want string) string { return op + " expects " + want + ", found " + describe(v) }
	switch op {
	case ">", "<", ">=", "<=":
		if v.kind != pdp.Number && v.kind != pdp.String {
			return wrong("a number or a string")
		}
	case "in", "not_in":
		if v.kind != pdp.Array {
			return wrong("an array of values")
		}
	case "contains":
		if v.kind == pdp.Null || v.kind == pdp.Array || v.kind == pdp.Object {
			return wrong("a string, a number or a boolean")
		}
	case "starts_with", "ends_with", "matches", "glob":
		if v.kind != pdp.String {
			return wrong("a string")
		}
		if op == "matches" {
			return checkRegex(v.text)
		}
		if op == "glob" {
			return checkGlob(v.text)
		}
	case "cidr":
		nets := []*node{v}
		if v.kind == pdp.Array {
			nets = v.items
		}
		if len(nets) == 0 {
			return "cidr expects at least one network"
		}
		for _, n := range nets {
			if n.kind != pdp.String {
				return "cidr expects a network or an array of networks, found " + describe(n)
			}
			if detail := checkNetwork(n.text); detail != "" {
				return detail
			}
		}
	}
	return ""
}

func checkRegex(pattern string) string {
	_, err := regexp.Compile(pattern)
	if err == nil {
		_, err = regexp.Compile(anchored(pattern))
	}
	if err != nil {
		return "not a regular expression of RE2: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	return ""
}

// anchored is the pattern as matches means it: from the start of the field.
func anchored(pattern string) string { return "^(?:" + pattern + ")" }

func checkGlob(pattern string) string {
	delims := make([]*ast.Term, len(globDelimiters))
	for i, d := range globDelimiters {
		delims[i] = ast.StringTerm(d)
	}
	match := topdown.GetBuiltin(ast.GlobMatch.Name)
	err := match(topdown.BuiltinContext{}, []*ast.Term{ast.StringTerm(pattern), ast.ArrayTerm(delims...), ast.StringTerm("")},
		func(*ast.Term) error { return nil })
	if err != nil {
		return fmt.Sprintf("not a glob pattern: %q", pattern)
	}
	return ""
}

func checkNetwork(s string) string {
	if _, err := netip.ParsePrefix(s); err == nil {
		return ""
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return fmt.Sprintf("%q is an address, not a network; write %s/%d", s, s, a.BitLen())
	}
	return fmt.Sprintf("%q is no network such as 10.0.0.0/8 or 2001:db8::/32", s)
}
