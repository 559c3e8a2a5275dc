package wire

import (
	"thymus/pdp"
)

// Semantic is how an AuthZEN batch runs.
type Semantic uint8

// The semantics of AuthZEN's options.evaluations_semantic.
const (
	ExecuteAll Semantic = iota
	DenyOnFirstDeny
	PermitOnFirstPermit
)

var semanticNames = [...]string{"execute_all", "deny_on_first_deny", "permit_on_first_permit"}

// String is the semantic's name on the wire.
func (s Semantic) String() string { return semanticNames[s] }

// Ends says whether an item with this outcome is the last that is evaluated and answered. An item that is invalid
// counts as a denial.
func (s Semantic) Ends(allowed bool) bool {
	return s == DenyOnFirstDeny && !allowed || s == PermitOnFirstPermit && allowed
}

// Batch is what an AuthZEN batch asks for.
type Batch struct {
	Items    int // 0: no batch, but one evaluation, whose answer is an evaluation's
	Semantic Semantic
	Context  bool // options.include_context
}

// members are the nodes of an evaluation's four members, -1 where there is none.
type members struct{ subject, action, resource, context int32 }

var noMembers = members{-1, -1, -1, -1}

// Evaluation reads the body of POST /access/v1/evaluation and fills req.
func (d *Decoder) Evaluation(body []byte, peer *pdp.Peer, req *pdp.Request) *Problem {
	if p := d.authzen(body, peer); p != nil {
		return p
	}
	m, p := d.members(0)
	if p != nil {
		return p
	}
	d.top = noMembers
	return d.evaluation(m, req)
}

// Evaluations reads the body of POST /access/v1/evaluations. With items, each is then read by EvaluationItem; without
// any, `evaluations` missing or empty, the body is one evaluation, and req is filled from it.
//
// An item's subject, action, resource and context outrank the body's as wholes; only `type`, `id` and `name`, which
// have to be there, come from the body's where the item's lacks them (so the working group's certification, 3.2.7).
func (d *Decoder) Evaluations(body []byte, peer *pdp.Peer, req *pdp.Request) (Batch, *Problem) {
	if p := d.authzen(body, peer); p != nil {
		return Batch{}, p
	}
	var b Batch
	if p := d.options(&b); p != nil {
		return Batch{}, p
	}
	m, p := d.members(0)
	if p != nil {
		return Batch{}, p
	}
	if i := d.raw.Member(0, "evaluations"); i >= 0 {
		if b.Items, p = d.batch(i); p != nil {
			return Batch{}, p
		}
	}
	if b.Items == 0 {
		d.top = noMembers
		return b, d.evaluation(m, req)
	}
	d.top = m
	return b, nil
}

// EvaluationItem reads the next item of a batch into req. It is called at most once for each. A problem is the item's
// own: the next call reads the item after it.
func (d *Decoder) EvaluationItem(req *pdp.Request) *Problem {
	i, p := d.item()
	if p != nil {
		return p
	}
	m, p := d.members(i)
	if p != nil {
		return p
	}
	return d.evaluation(m, req)
}

func (d *Decoder) authzen(body []byte, peer *pdp.Peer) *Problem {
	if p := d.begin(body, strict); p != nil {
		return p
	}
	if p := d.object(); p != nil {
		return p
	}
	d.source(pdp.SurfaceAuthZEN, peer)
	d.index = single
	return nil
}

func (d *Decoder) options(b *Batch) *Problem {
	o := d.raw.Member(0, "options")
	if o < 0 {
		return nil
	}
	if p := d.isObject(&d.raw.Nodes[o], "options"); p != nil {
		return p
	}
	if i := d.raw.Member(o, "evaluations_semantic"); i >= 0 {
		const field = "options.evaluations_semantic"
		n := &d.raw.Nodes[i]
		if n.Kind != pdp.String {
			return d.fault(field, "expected a string, got "+kindName(n.Kind))
		}
		switch d.raw.Str(n.Val) {
		case "execute_all":
		case "deny_on_first_deny":
			b.Semantic = DenyOnFirstDeny
		case "permit_on_first_permit":
			b.Semantic = PermitOnFirstPermit
		default:
			return d.fault(field, "expected execute_all, deny_on_first_deny or permit_on_first_permit")
		}
	}
	if i := d.raw.Member(o, "include_context"); i >= 0 {
		k := d.raw.Nodes[i].Kind
		if k != pdp.True && k != pdp.False {
			return d.fault("options.include_context", "expected a boolean, got "+kindName(k))
		}
		b.Context = k == pdp.True
	}
	return nil
}

// members finds the four members of the object at node i, each an object.
func (d *Decoder) members(i int32) (members, *Problem) {
	m := noMembers
	nodes := d.raw.Nodes
	for c := i + 1; c < nodes[i].Next; c = nodes[c].Next {
		n := &nodes[c]
		var p *Problem
		switch d.raw.Str(n.Key) {
		case "subject":
			m.subject, p = c, d.isObject(n, "subject")
		case "action":
			m.action, p = c, d.isObject(n, "action")
		case "resource":
			m.resource, p = c, d.isObject(n, "resource")
		case "context":
			m.context, p = c, d.isObject(n, "context")
		}
		if p != nil {
			return m, p
		}
	}
	return m, nil
}

// entity is what a subject, action or resource holds: nodes, -1 where there is none.
type entity struct{ typ, id, name, properties int32 }

func (d *Decoder) entity(i int32) entity {
	e := entity{-1, -1, -1, -1}
	if i < 0 {
		return e
	}
	nodes := d.raw.Nodes
	for c := i + 1; c < nodes[i].Next; c = nodes[c].Next {
		switch d.raw.Str(nodes[c].Key) {
		case "type":
			e.typ = c
		case "id":
			e.id = c
		case "name":
			e.name = c
		case "properties":
			e.properties = c
		}
	}
	return e
}

// pick is the entity at own, with what it lacks of the three required members from the one at fallback; false where
// there is neither.
func (d *Decoder) pick(own, fallback int32) (entity, bool) {
	if own < 0 {
		return d.entity(fallback), fallback >= 0
	}
	e := d.entity(own)
	if fallback >= 0 && (e.typ < 0 || e.id < 0 || e.name < 0) {
		f := d.entity(fallback)
		if e.typ < 0 {
			e.typ = f.typ
		}
		if e.id < 0 {
			e.id = f.id
		}
		if e.name < 0 {
			e.name = f.name
		}
	}
	return e, true
}

// evaluation reads one evaluation from its members and the defaults.
func (d *Decoder) evaluation(m members, req *pdp.Request) *Problem {
	var q question
	var p *Problem
	s, ok := d.pick(m.subject, d.top.subject)
	if !ok {
		return d.missing("subject")
	}
	if q.subjectType, p = d.required(s.typ, "subject.type", pdp.MaxName); p != nil {
		return p
	}
	if q.subjectID, p = d.required(s.id, "subject.id", pdp.MaxName); p != nil {
		return p
	}
	if p = d.properties(s.properties, "subject.properties"); p != nil {
		return p
	}
	q.subjectProps = s.properties
	if r := d.raw.Member(s.properties, "role"); r >= 0 && d.raw.Nodes[r].Kind == pdp.String {
		if p = d.string(&d.raw.Nodes[r], "subject.properties.role", pdp.MaxName); p != nil {
			return p
		}
		q.role, q.hasRole = d.raw.Nodes[r].Val, true
	}
	a, ok := d.pick(m.action, d.top.action)
	if !ok {
		return d.missing("action")
	}
	if q.action, p = d.required(a.name, "action.name", pdp.MaxName); p != nil {
		return p
	}
	if p = d.properties(a.properties, "action.properties"); p != nil {
		return p
	}
	q.actionProps = a.properties
	r, ok := d.pick(m.resource, d.top.resource)
	if !ok {
		return d.missing("resource")
	}
	if q.resourceType, p = d.required(r.typ, "resource.type", 1<<31-1); p != nil {
		return p
	}
	if q.resourceID, p = d.required(r.id, "resource.id", pdp.MaxResource); p != nil {
		return p
	}
	if p = d.properties(r.properties, "resource.properties"); p != nil {
		return p
	}
	q.resourceProps, q.hasResource = r.properties, true
	if q.context = m.context; q.context < 0 {
		q.context = d.top.context
	}
	d.lay(&q, req)
	return nil
}

// required checks the string at node i: there, not empty, and not longer than most bytes.
func (d *Decoder) required(i int32, field string, most uint32) (pdp.Span, *Problem) {
	if i < 0 {
		return pdp.Span{}, d.missing(field)
	}
	n := &d.raw.Nodes[i]
	if n.Kind == pdp.String && n.Val.Len == 0 {
		return pdp.Span{}, d.fault(field, "expected a string that is not empty")
	}
	return n.Val, d.string(n, field, most)
}

func (d *Decoder) properties(i int32, field string) *Problem {
	if i < 0 {
		return nil
	}
	return d.isObject(&d.raw.Nodes[i], field)
}
