package wire

import (
	"strconv"

	"thymus/pdp"
)

// Native reads the body of POST /v1/evaluate, or what `thymus check` was told (surface then is SurfaceCLI), and fills
// req. peer may be nil, which is TCP.
func (d *Decoder) Native(body []byte, surface pdp.Surface, peer *pdp.Peer, req *pdp.Request) *Problem {
	if p := d.begin(body, strict); p != nil {
		return p
	}
	if p := d.object(); p != nil {
		return p
	}
	d.source(surface, peer)
	d.index = single
	return d.native(0, req)
}

// NativeBatch reads the body of POST /v1/evaluate/batch and returns the number of its items, 1 to MaxBatch, each of
// which NativeItem then reads in turn.
func (d *Decoder) NativeBatch(body []byte, surface pdp.Surface, peer *pdp.Peer) (int, *Problem) {
	if p := d.begin(body, strict); p != nil {
		return 0, p
	}
	if p := d.object(); p != nil {
		return 0, p
	}
	d.index = single
	i := d.raw.Member(0, "evaluations")
	if i < 0 {
		return 0, d.fault("evaluations", "a required member is missing")
	}
	n, p := d.batch(i)
	if p != nil {
		return 0, p
	}
	if n == 0 {
		return 0, d.fault("evaluations", "expected 1 to "+strconv.Itoa(MaxBatch)+" items, got none")
	}
	d.source(surface, peer)
	return n, nil
}

// batch checks the array of a batch at node i, and makes its first element the next item.
func (d *Decoder) batch(i int32) (int, *Problem) {
	a := &d.raw.Nodes[i]
	if a.Kind != pdp.Array {
		return 0, d.fault("evaluations", "expected an array, got "+kindName(a.Kind))
	}
	if a.Val.Len > MaxBatch {
		return 0, d.fault("evaluations", "expected at most "+strconv.Itoa(MaxBatch)+" items, got "+
			strconv.FormatUint(uint64(a.Val.Len), 10))
	}
	d.next = i + 1
	return int(a.Val.Len), nil
}

// item moves on to the next item of a batch.
func (d *Decoder) item() (int32, *Problem) {
	d.index++
	i := d.next
	n := &d.raw.Nodes[i]
	d.next = n.Next
	if n.Kind != pdp.Object {
		return 0, d.fault("", "expected an object, got "+kindName(n.Kind))
	}
	return i, nil
}

// NativeItem reads the next item of a batch into req. It is called at most once for each. A problem is the item's own:
// the next call reads the item after it.
func (d *Decoder) NativeItem(req *pdp.Request) *Problem {
	i, p := d.item()
	if p != nil {
		return p
	}
	return d.native(i, req)
}

// native reads the call in the object at node i.
func (d *Decoder) native(i int32, req *pdp.Request) *Problem {
	q := question{subjectType: textAgent, subjectProps: -1, actionProps: -1, resourceProps: -1, context: -1}
	nodes := d.raw.Nodes
	end := nodes[i].Next
	var hasID, hasAction bool
	for c := i + 1; c < end; c = nodes[c].Next {
		n := &nodes[c]
		var p *Problem
		switch d.raw.Str(n.Key) {
		case "agent_id":
			hasID, q.subjectID = true, n.Val
			p = d.name(n, "agent_id")
		case "agent_role":
			q.hasRole, q.role = true, n.Val
			p = d.string(n, "agent_role", pdp.MaxName)
		case "action":
			hasAction, q.action = true, n.Val
			p = d.name(n, "action")
		case "resource":
			q.hasResource, q.resourceID = true, n.Val
			p = d.string(n, "resource", pdp.MaxResource)
		case "params":
			q.actionProps = c
			p = d.isObject(n, "params")
		case "environment":
			q.context = c
			p = d.isObject(n, "environment")
		}
		if p != nil {
			return p
		}
	}
	if !hasID {
		return d.missing("agent_id")
	}
	if !hasAction {
		return d.missing("action")
	}
	d.lay(&q, req)
	return nil
}
