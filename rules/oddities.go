package rules

import (
	"net/netip"
	"strconv"
	"strings"

	"thymus/pdp"
)

// oddity is a field that a deny rule looks at, with what it asks of the field's type. The generated rule of its name
// holds where the field is there but of another type, or where the path to it runs into something that is no object.
type oddity struct {
	name  string
	path  []string
	class class
}

// oddities writes what a deny rule owes besides its plain bodies: it also matches where each of its conditions either
// holds or meets an oddity. The rules in dodged say so with one body a rule, whose conditions are helper rules, so that
// several dodges at once combine without a body for each combination; nothing looks at them unless something is odd.
func (g *generator) oddities() {
	type dodge struct {
		rule *structuredRule
		body []expr
	}
	var dodges []dodge
	for i := range g.p.rules {
		if r := &g.p.rules[i]; r.enabled && r.effect == pdp.Deny {
			if body := g.dodgeBody(r); body != nil {
				dodges = append(dodges, dodge{r, body})
			}
		}
	}
	if len(dodges) == 0 {
		return
	}
	if g.notes {
		g.line(0, "")
		g.line(0, "# Nobody slips past a deny rule by sending a field of a type that its operator cannot compare: where something")
		g.line(0, "# is odd, a deny rule also matches if each of its conditions either holds or meets an odd field.")
	}
	g.line(0, "deny contains rule if {")
	g.line(0, "\todd")
	g.line(0, "\tsome rule in dodged")
	g.line(0, "}")
	g.blank()
	for _, o := range g.oddOrder {
		g.line(0, "odd if "+o.name)
	}
	for _, o := range g.oddOrder {
		g.blank()
		for _, b := range o.bodies() {
			g.body(0, o.name, b)
		}
	}
	for _, d := range dodges {
		g.blank()
		g.effectRule("dodged", d.rule, d.body)
	}
}

// helpers writes the helper rules that the other parts came to need.
func (g *generator) helpers() {
	for _, h := range g.helper {
		g.blank()
		for _, b := range h.bodies {
			g.body(0, h.name, b)
		}
	}
}

func (g *generator) blank() {
	if g.notes {
		g.line(0, "")
	}
}

func (g *generator) body(source int, head string, body []expr) {
	if len(body) == 1 {
		g.line(source, head+" if "+body[0].text())
		return
	}
	g.line(source, head+" if {")
	for i := range body {
		text := "\t" + body[i].text()
		if i+1 < len(body) && strings.HasPrefix(body[i+1].text(), "-") { // or it would be what is taken off this one
			text += ";"
		}
		g.line(source, text)
	}
	g.line(source, "}")
}

// dodgeBody is the rule's body in dodged; nil where nothing can dodge the rule.
func (g *generator) dodgeBody(r *structuredRule) []expr {
	var plain, helped []expr
	dodgeable := r.dodgeable()
	for i := range r.conditions {
		c := &r.conditions[i]
		switch {
		case c.negated():
			plain = append(plain, g.ways(c, i)[0]...)
		case dodgeable == 1:
			helped = append(helped, named(g.oddity(c).name))
		default:
			helped = append(helped, named(g.holdsName(c, true)))
		}
	}
	if dodgeable == 0 {
		return nil
	}
	return append(helped, plain...)
}

// dodgeable is how many of the rule's conditions a caller could dodge.
func (r *structuredRule) dodgeable() (n int) {
	for i := range r.conditions {
		if !r.conditions[i].negated() {
			n++
		}
	}
	return n
}

// holdsName is the name of the helper rule for a condition: that it holds, or with dodged, that it holds or is dodged.
func (g *generator) holdsName(c *condition, dodged bool) string {
	key := strconv.FormatBool(dodged) + c.op + reference("", c.path) + " " + string(c.value.appendJSON(nil))
	if name, ok := g.holds[key]; ok {
		return name
	}
	name := g.name("holds", c.path, "")
	g.holds[key] = name
	h := helper{name: name, bodies: c.ways(0)}
	if dodged {
		h.bodies = append(h.bodies, []expr{named(g.oddity(c).name)})
	}
	g.helper = append(g.helper, h)
	return name
}

func (g *generator) oddity(c *condition) *oddity {
	key := string(c.class()) + " " + reference("", c.path)
	o := g.odd[key]
	if o == nil {
		o = &oddity{name: g.name("odd", c.path, string(c.class())), path: c.path, class: c.class()}
		g.odd[key] = o
		g.oddOrder = append(g.oddOrder, o)
	}
	return o
}

// name makes an identifier that the module does not have yet.
func (g *generator) name(prefix string, path []string, suffix string) string {
	b := []byte(prefix)
	for _, s := range append(path[:len(path):len(path)], suffix) {
		if s == "" || len(b)+len(s) > 60 {
			continue
		}
		b = append(b, '_')
		for _, c := range []byte(s) {
			if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
				b = append(b, c)
			} else {
				b = append(b, '_')
			}
		}
	}
	base := string(b)
	name, n := base, g.names[base] // how often the base was used: where to go on looking
	for n > 0 && g.names[name] > 0 {
		n++
		name = base + "_" + strconv.Itoa(n)
	}
	g.names[base] = max(n, 1)
	g.names[name] = max(g.names[name], 1)
	return name
}

// bodies are the ways in which the field can be odd. type_name is undefined where the value is, so a field that is not
// there is never odd.
func (o *oddity) bodies() [][]expr {
	typeIsNot := func(path []string, name string) []expr {
		return []expr{is("!=", called("type_name", inputAt(path)), word(name))}
	}
	var out [][]expr
	for i := range o.path {
		out = append(out, typeIsNot(o.path[:i], "object"))
	}
	x := inputAt(o.path)
	switch o.class {
	case numbers, strs:
		out = append(out, typeIsNot(o.path, string(o.class)))
	case container:
		out = append(out, []expr{is("in", called("type_name", x), words("null", "object"))})
	case address:
		out = append(out, typeIsNot(o.path, "string"), []expr{is("is_string", x), isNot("net.cidr_is_valid", hostNetwork(x))})
	}
	return out
}

// guard is an oddity as plain data: Match looks for it on the tape before it asks the rules of dodged.
type guard struct {
	path  []string
	class class
	key   string // what tells it from others
}

func newGuard(path []string, c class) guard {
	key := string(c)
	for _, s := range path {
		key += strconv.Quote(s) // a step may hold any character
	}
	return guard{path, c, key}
}

// clone is the guard in memory of its own.
func (gd *guard) clone() guard {
	path := make([]string, len(gd.path))
	for i, s := range gd.path {
		path[i] = strings.Clone(s)
	}
	return newGuard(path, gd.class)
}

// odd says whether the input meets the guard. It must say yes wherever the generated rule of the same field would
// hold; where it says yes too often, evaluation still decides.
func (gd *guard) odd(in *pdp.Doc) bool {
	i := int32(0)
	for _, step := range gd.path {
		if in.Nodes[i].Kind != pdp.Object {
			return true
		}
		if i = in.Member(i, step); i < 0 {
			return false
		}
	}
	switch k := in.Nodes[i].Kind; gd.class {
	case numbers:
		return k != pdp.Number
	case strs:
		return k != pdp.String
	case container:
		return k == pdp.Null || k == pdp.Object
	case address:
		return k != pdp.String || !isAddress(in.Str(in.Nodes[i].Val))
	}
	return false
}

// isAddress says whether s is an IP address in the sense of the cidr operator: without zone and without prefix length.
func isAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}
