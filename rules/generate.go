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
		out.guard = append(out.guard, guard{path: o.path, class: o.class})
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
	bodies [][]string
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
func (g *generator) effectRule(set string, r *structuredRule, body []string) {
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
func (g *generator) bodies(r *structuredRule) [][]string {
	bodies, split := [][]string{nil}, false
	for i := range r.conditions {
		c := &r.conditions[i]
		ways := g.ways(c, i)
		if len(ways) > 1 && split {
			ways = [][]string{{g.holdsName(c, false)}}
		}
		split = split || len(ways) > 1
		var next [][]string
		for _, b := range bodies {
			for _, w := range ways {
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
func (g *generator) ways(c *condition, n int) [][]string {
	if c.op == "not_in" && len(c.value.items) > maxNots {
		in := condition{path: c.path, op: "in", value: c.value}
		return [][]string{{"not " + g.holdsName(&in, false)}}
	}
	return c.ways(n)
}

// ways are the bodies of which one must hold for the condition to hold; n tells its variables from those of others.
func (c *condition) ways(n int) [][]string {
	x := reference("input", c.path)
	v := string(c.value.appendJSON(nil))
	one := func(exprs ...string) [][]string { return [][]string{exprs} }
	switch c.op {
	case "==":
		return one(x + " == " + v)
	case "!=":
		return one("not " + x + " == " + v)
	case "in":
		return one(x + " in " + setOf(c.value.items))
	case "not_in":
		var each []string
		for _, item := range c.value.items {
			each = append(each, "not "+x+" == "+string(item.appendJSON(nil)))
		}
		return one(each...)
	case ">", "<", ">=", "<=":
		if c.value.kind == pdp.Number {
			return one("is_number("+x+")", x+" "+c.op+" "+v)
		}
		return one("is_string("+x+")", x+" "+c.op+" "+v)
	case "starts_with":
		return one("is_string("+x+")", "startswith("+x+", "+v+")")
	case "ends_with":
		return one("is_string("+x+")", "endswith("+x+", "+v+")")
	case "matches":
		return one("is_string("+x+")", "regex.match("+quote(anchored(c.value.text))+", "+x+")")
	case "glob":
		subject := x
		if strings.ContainsRune(c.value.text, '\\') { // OPA's rule index takes the escape for a part of the text
			subject = `concat("", [` + x + "])"
		}
		return one("is_string("+x+")", "glob.match("+v+`, [".", "/", ":"], `+subject+")")
	case "cidr":
		return one(append([]string{"is_string(" + x + ")", "net.cidr_is_valid(concat(\"\", [" + x + ", \"/32\"]))"}, c.within(x, n)...)...)
	}
	text := v // contains
	if c.value.kind != pdp.String {
		text = quote(v)
	}
	return [][]string{
		{"is_string(" + x + ")", "contains(" + x + ", " + text + ")"},
		{"type_name(" + x + `) in {"number", "boolean"}`, "contains(json.marshal(" + x + "), " + text + ")"},
		{"is_array(" + x + ")", v + " in " + x},
	}
}

func (c *condition) within(x string, n int) []string {
	if c.value.kind == pdp.String {
		return []string{"net.cidr_contains(" + quote(c.value.text) + ", " + x + ")"}
	}
	if len(c.value.items) == 1 {
		return []string{"net.cidr_contains(" + quote(c.value.items[0].text) + ", " + x + ")"}
	}
	v := fmt.Sprintf("network_%d", n)
	return []string{"some " + v + " in " + setOf(c.value.items), "net.cidr_contains(" + v + ", " + x + ")"}
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
