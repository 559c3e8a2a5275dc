package wire

import (
	"strings"

	"thymus/pdp"
)

// fixed is the prefix of every tape's text: all keys and constants of the canonical input, so that laying one out
// copies none of them. It is read by spans alone, so that what stands next to what is of no meaning.
const fixed = "subject type agent id properties role action name resource context " +
	"peer surface transport tcp unix uid gid pid principal native authzen opa grpc http cli"

func at(word string) pdp.Span {
	i := strings.Index(fixed, word)
	if i < 0 {
		panic("wire: " + word + " is not in the fixed prefix")
	}
	return pdp.Span{Off: uint32(i), Len: uint32(len(word))}
}

// The spans of fixed, computed once and never written again.
var (
	keySubject    = at("subject")
	keyType       = at("type")
	keyID         = at("id")
	keyProperties = at("properties")
	keyRole       = at("role")
	keyAction     = at("action")
	keyName       = at("name")
	keyResource   = at("resource")
	keyContext    = at("context")
	keyPeer       = at("peer")
	keySurface    = at("surface")
	keyTransport  = at("transport")
	keyPrincipal  = at("principal")
	keyCred       = [...]pdp.Span{at("uid"), at("gid"), at("pid")}
	textAgent     = at("agent")
	textTCP       = at("tcp")
	textUnix      = at("unix")
	surfaceText   = func() (t [pdp.Surfaces]pdp.Span) {
		for s := range t {
			t[s] = at(pdp.Surface(s).String())
		}
		return t
	}()
)

// question is a call's content, before it is laid out: spans of the text, and nodes of the raw tape that hold whole
// subtrees (-1 where there is none).
type question struct {
	subjectType, subjectID, role pdp.Span
	action                       pdp.Span
	resourceType, resourceID     pdp.Span
	hasRole, hasResource         bool
	subjectProps, actionProps    int32
	resourceProps, context       int32
}

// lay writes the canonical input of CONTRACT 1 into d.doc, and points req at it.
func (d *Decoder) lay(q *question, req *pdp.Request) {
	const own = 14 // nodes that stand in every input, and an empty object for each graft
	ns := d.doc.Nodes[:0]
	if need := own + len(d.peer) + len(d.raw.Nodes); cap(ns) < need {
		ns = make([]pdp.Node, 0, need+min(need, 256))
	}
	raw := d.raw.Nodes
	ns = append(ns, pdp.Node{Kind: pdp.Object, Val: pdp.Span{Len: 5}})

	at := len(ns)
	ns = append(ns, pdp.Node{Key: keySubject, Kind: pdp.Object, Val: pdp.Span{Len: 3}})
	ns = text(ns, keyType, q.subjectType)
	ns = text(ns, keyID, q.subjectID)
	switch {
	case q.subjectProps >= 0:
		ns = graft(ns, raw, q.subjectProps, keyProperties)
	case q.hasRole:
		i := int32(len(ns))
		ns = append(ns,
			pdp.Node{Key: keyProperties, Kind: pdp.Object, Val: pdp.Span{Len: 1}, Next: i + 2},
			pdp.Node{Key: keyRole, Kind: pdp.String, Val: q.role, Next: i + 2})
	default:
		ns = empty(ns, keyProperties)
	}
	ns[at].Next = int32(len(ns))

	at = len(ns)
	ns = append(ns, pdp.Node{Key: keyAction, Kind: pdp.Object, Val: pdp.Span{Len: 2}})
	ns = text(ns, keyName, q.action)
	ns = graft(ns, raw, q.actionProps, keyProperties)
	ns[at].Next = int32(len(ns))

	at = len(ns)
	ns = append(ns, pdp.Node{Key: keyResource, Kind: pdp.Object, Val: pdp.Span{Len: 2}})
	ns = text(ns, keyType, q.resourceType)
	if q.hasResource {
		ns[at].Val.Len = 3
		ns = text(ns, keyID, q.resourceID)
	}
	ns = graft(ns, raw, q.resourceProps, keyProperties)
	ns[at].Next = int32(len(ns))

	ns = graft(ns, raw, q.context, keyContext)

	delta := int32(len(ns))
	for i := range d.peer {
		ns = append(ns, d.peer[i])
		ns[len(ns)-1].Next += delta
	}
	ns[0].Next = int32(len(ns))

	d.doc.Nodes, d.doc.Text = ns, d.raw.Text
	d.ask(q, req)
}

// ask fills req from q.
func (d *Decoder) ask(q *question, req *pdp.Request) {
	t := &d.raw
	req.Surface, req.Input = d.surface, &d.doc
	req.SubjectType, req.SubjectID = t.Str(q.subjectType), t.Str(q.subjectID)
	req.Role, req.HasRole = t.Str(q.role), q.hasRole
	req.Action = t.Str(q.action)
	req.Resource, req.HasResource = t.Str(q.resourceID), q.hasResource
	req.PathDiffers, req.DryRun, req.Fault, req.FaultCode = false, false, "", pdp.NoFault
}

func text(ns []pdp.Node, key, val pdp.Span) []pdp.Node {
	return append(ns, pdp.Node{Key: key, Val: val, Next: int32(len(ns) + 1), Kind: pdp.String})
}

func empty(ns []pdp.Node, key pdp.Span) []pdp.Node {
	return append(ns, pdp.Node{Key: key, Next: int32(len(ns) + 1), Kind: pdp.Object})
}

// graft appends the subtree of raw at i under key; the empty object where i is -1.
func graft(ns, raw []pdp.Node, i int32, key pdp.Span) []pdp.Node {
	if i < 0 {
		return empty(ns, key)
	}
	at, delta := len(ns), int32(len(ns))-i
	ns = append(ns, raw[i:raw[i].Next]...)
	for j := at; j < len(ns); j++ {
		ns[j].Next += delta
	}
	ns[at].Key = key
	return ns
}
