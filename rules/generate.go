package rules

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"thymus/pdp"
)

// generated is a structured policy as a Rego module.
type generated struct {
	text  []byte
	lines []int   // lines[i]: the line of the source that line i+1 of the text comes from, 0 for none
	guard []guard // what a request must not do to the fields of its deny rules; see oddities
}

// generate writes the module. With notes it is what policy convert prints: METADATA and comments, which evaluation does
// not need.
//
// Every rule is plain bodies of expressions that OPA's rule index can use, with the type guards inline, so that no
// builtin ever sees a value it would report an error for:
//
//	deny contains {"rule": "large"} if {
//		is_number(input.action.properties.amount)
//		input.action.properties.amount > 1000
//	}
//
// What a deny rule owes beyond that, the fields of a type its operator cannot compare, is in oddities.
func generate(p *structured, notes bool) *generated {
	g := &generator{p: p, notes: notes, odd: map[string]*oddity{}, holds: map[string]string{}, names: map[string]int{"odd": 1, "dodged": 1}}
	g.header()
	for i := range p.rules {
		if r := &p.rules[i]; r.enabled {
			g.rule(r)
		} else if notes {
			g.line(r.line, "")
			g.line(r.line, "# The rule "+quote(r.id)+" is disabled.")
		}
	}
	g.oddities()
	g.helpers()
	out := &generated{text: g.out.Bytes(), lines: g.lines}
	for _, o := range g.oddOrder {
		out.guard = append(out.guard, newGuard(o.path, o.class))
	}
	return out
}

type generator struct {
	p        *structured
	notes    bool
	out      bytes.Buffer
	lines    []int
	odd      map[string]*oddity
	oddOrder []*oddity
	holds    map[string]string // condition, and whether it may be dodged, to the name of its helper rule
	helper   []helper
	names    map[string]int // uses of a base name
}

// helper is a rule of the module that says whether one condition holds.
type helper struct {
	name   string
	bodies [][]expr
}

func (g *generator) line(source int, text string) {
	g.out.WriteString(text)
	g.out.WriteByte('\n')
	g.lines = append(g.lines, source)
}

func (g *generator) header() {
	if g.notes {
		g.metadata(1, g.p.name, g.p.description, g.packageCustom())
	}
	g.line(1, "package "+packageOf(g.p.id))
}

func (g *generator) packageCustom() string {
	var c []string
	if g.p.version != "" {
		c = append(c, `"version": `+quote(g.p.version))
	}
	if g.p.def != pdp.None {
		c = append(c, `"default_effect": `+quote(g.p.def.String()))
	}
	if !g.p.enabled {
		c = append(c, `"enabled": false`)
	}
	return strings.Join(c, ", ")
}

// metadata writes a METADATA block, its values in JSON, which YAML reads.
func (g *generator) metadata(source int, title, description, custom string) {
	if title == "" && description == "" && custom == "" {
		return
	}
	g.line(source, "# METADATA")
	if title != "" {
		g.line(source, "# title: "+quote(title))
	}
	if description != "" {
		g.line(source, "# description: "+quote(description))
	}
	if custom != "" {
		g.line(source, "# custom: {"+custom+"}")
	}
}

func (g *generator) rule(r *structuredRule) {
	if g.notes {
		g.line(r.line, "")
		custom := ""
		if r.metadata != nil && len(r.metadata.members) > 0 {
			custom = `"metadata": ` + string(r.metadata.appendJSON(nil))
		}
		g.metadata(r.line, r.name, r.description, custom)
	}
	for i, body := range g.bodies(r) {
		if i > 0 {
			g.blank()
		}
		g.effectRule(r.effect.String(), r, body)
	}
}

// effectRule writes one body under the rule's head.
func (g *generator) effectRule(set string, r *structuredRule, body []expr) {
	head := set + " contains " + r.head()
	if len(body) == 0 {
		g.line(r.line, head)
		return
	}
	g.body(r.line, head, body)
}

// head is the element that the rule contributes to its set.
func (r *structuredRule) head() string {
	var b strings.Builder
	b.WriteString(`{"rule": ` + quote(r.id))
	if r.name != "" {
		b.WriteString(`, "name": ` + quote(r.name))
	}
	if r.priority != 0 {
		b.WriteString(`, "priority": ` + strconv.FormatInt(r.priority, 10))
	}
	if r.guardrail {
		b.WriteString(`, "guardrail": true`)
	}
	if r.message != "" {
		b.WriteString(`, "reason": ` + quote(r.message))
	}
	b.WriteString("}")
	return b.String()
}

// bodies are the ways in which the rule's conditions hold as they are written. One condition may have several ways; the
// first such gives the rule several bodies, the others become helper rules, so that bodies do not multiply.
func (g *generator) bodies(r *structuredRule) [][]expr {
	return r.bodies(func(c *condition, n int) [][]expr { return g.ways(c, n) },
		func(c *condition, _ [][]expr) expr { return named(g.holdsName(c, false)) })
}

// bodies multiplies the ways of the conditions. Of those with several, the first splits the rule, and any other becomes
// one expression, by one.
func (r *structuredRule) bodies(ways func(*condition, int) [][]expr, one func(*condition, [][]expr) expr) [][]expr {
	bodies, split := [][]expr{nil}, false
	for i := range r.conditions {
		c := &r.conditions[i]
		ws := ways(c, i)
		if len(ws) > 1 && split {
			ws = [][]expr{{one(c, ws)}}
		}
		split = split || len(ws) > 1
		var next [][]expr
		for _, b := range bodies {
			for _, w := range ws {
				next = append(next, append(b[:len(b):len(b)], w...))
			}
		}
		bodies = next
	}
	return bodies
}

// maxNots is how many values of not_in stand in a body by themselves; a longer list becomes a helper rule.
const maxNots = 4

// ways are those of the condition, by way of a helper rule for a long not_in. It cannot be written as the negation of
// in: topdown evaluates the operands of a negated call first, so that it is undefined where the field is.
func (g *generator) ways(c *condition, n int) [][]expr {
	if in, long := c.longNotIn(); long {
		not := named(g.holdsName(&in, false))
		not.not = true
		return [][]expr{{not}}
	}
	return c.ways(n)
}

// longNotIn is the condition that a not_in of many values negates.
func (c *condition) longNotIn() (in condition, long bool) {
	return condition{path: c.path, op: "in", value: c.value}, c.op == "not_in" && len(c.value.items) > maxNots
}

// ways are the bodies of which one must hold for the condition to hold; n tells its variables from those of others.
func (c *condition) ways(n int) [][]expr {
	x, v := inputAt(c.path), literal(c.value)
	one := func(exprs ...expr) [][]expr { return [][]expr{exprs} }
	switch c.op {
	case "==":
		return one(is("==", x, v))
	case "!=":
		return one(isNot("==", x, v))
	case "in":
		return one(is("in", x, literals(c.value.items)))
	case "not_in":
		var each []expr
		for _, item := range c.value.items {
			each = append(each, isNot("==", x, literal(item)))
		}
		return one(each...)
	case ">", "<", ">=", "<=":
		if c.value.kind == pdp.Number {
			return one(is("is_number", x), is(c.op, x, v))
		}
		return one(is("is_string", x), is(c.op, x, v))
	case "starts_with":
		return one(is("is_string", x), is("startswith", x, v))
	case "ends_with":
		return one(is("is_string", x), is("endswith", x, v))
	case "matches":
		return one(is("is_string", x), is("regex.match", word(anchored(c.value.text)), x))
	case "glob":
		subject := x
		if strings.ContainsRune(c.value.text, '\\') { // OPA's rule index takes the escape for a part of the text
			subject = called("concat", word(""), arg{list: []arg{x}})
		}
		var delimiters []arg
		for _, d := range globDelimiters {
			delimiters = append(delimiters, word(d))
		}
		return one(is("is_string", x), is("glob.match", v, arg{list: delimiters}, subject))
	case "cidr":
		return one(append([]expr{is("is_string", x), is("net.cidr_is_valid", hostNetwork(x))}, c.within(x, n)...)...)
	}
	text := v // contains
	if c.value.kind != pdp.String {
		text = word(v.text())
	}
	return [][]expr{
		{is("is_string", x), is("contains", x, text)},
		{is("in", called("type_name", x), words("number", "boolean")), is("contains", called("json.marshal", x), text)},
		{is("is_array", x), is("in", v, x)},
	}
}

// hostNetwork is the network of the one address that x is, if it is one.
func hostNetwork(x arg) arg { return called("concat", word(""), arg{list: []arg{x, word("/32")}}) }

func word(s string) arg { return literal(&node{kind: pdp.String, text: s}) }

func words(all ...string) arg {
	nodes := make([]*node, len(all))
	for i, s := range all {
		nodes[i] = &node{kind: pdp.String, text: s}
	}
	return literals(nodes)
}

func (c *condition) within(x arg, n int) []expr {
	if c.value.kind == pdp.String {
		return []expr{is("net.cidr_contains", literal(c.value), x)}
	}
	if len(c.value.items) == 1 {
		return []expr{is("net.cidr_contains", literal(c.value.items[0]), x)}
	}
	v := arg{name: fmt.Sprintf("network_%d", n)}
	return []expr{is("some", v, literals(c.value.items)), is("net.cidr_contains", v, x)}
}

func setOf(items []*node) string {
	if len(items) == 0 {
		return "set()"
	}
	b := []byte{'{'}
	for i, it := range items {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = it.appendJSON(b)
	}
	return string(append(b, '}'))
}
