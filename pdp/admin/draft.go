package admin

import (
	"encoding/json"
	"net/http"
	"slices"

	"thymus/pdp/policy"
	"thymus/pdp/wire"
)

// draft is a policy as it was sent.
type draft struct {
	policy.Draft
	sourceOnly bool // the switch is not part of what was sent
}

// of is the draft in place of what there is. A policy in Rego that was switched off by the API and is sent again as its
// source alone stays off: a source says nothing about the switch.
func (d *draft) of(cur *policy.Policy) policy.Draft {
	out := d.Draft
	if d.sourceOnly && cur != nil && cur.Form == policy.Rego {
		out.Disabled = cur.Disabled
	}
	return out
}

// readDraft reads a policy in any of its forms. id is that of the path, which a structured policy need not repeat; empty
// where there is none.
func readDraft(r *http.Request, id string) (*draft, *wire.Problem) {
	body, media, p := readBody(r, maxPolicyBody, typeJSON, typeYAML, typeText)
	switch {
	case p != nil:
		return nil, p
	case media == typeText:
		return &draft{policy.Draft{Form: policy.Rego, Text: body}, true}, nil
	case media == typeYAML:
		return &draft{policy.Draft{Form: policy.Structured, Text: body}, false}, nil
	}
	return jsonDraft(body, id)
}

// jsonDraft reads a policy from JSON: structured, or one in Rego, which has a member rego.
func jsonDraft(body []byte, id string) (*draft, *wire.Problem) {
	ms, err := readMembers(body)
	if err != nil {
		return nil, fieldProblem("", "expected an object")
	}
	if ms.has("rego") {
		return regoDraft(ms)
	}
	sent := len(ms)
	ms = ms.without(serverMembers()...)
	if ms.has("default_effect") && string(ms.find("default_effect")) == "null" {
		ms = ms.without("default_effect")
	}
	if len(ms) == sent && (id == "" || ms.has("policy_id")) {
		return &draft{policy.Draft{Form: policy.Structured, Text: body}, false}, nil // as it is, so that problems have its places
	}
	if id != "" && !ms.has("policy_id") {
		raw, _ := json.Marshal(id) // a string
		ms = append(members{{"policy_id", raw}}, ms...)
	}
	return &draft{policy.Draft{Form: policy.Structured, Text: ms.append(nil)}, false}, nil
}

// regoDraft reads a policy in Rego. What METADATA says is not taken from anywhere else.
func regoDraft(ms members) (*draft, *wire.Problem) {
	known := append(serverMembers(), "policy_id", "name", "version", "description", "default_effect", "enabled", "rego")
	for _, m := range ms {
		if !slices.Contains(known, m.name) {
			return nil, fieldProblem(m.name, "unknown; a policy in Rego has rego, enabled and policy_id")
		}
	}
	o := &object{members: map[string]json.RawMessage{}}
	for _, m := range ms {
		o.members[m.name] = m.value
	}
	d := &draft{Draft: policy.Draft{Form: policy.Rego, Text: []byte(o.str("rego"))}, sourceOnly: !ms.has("enabled")}
	d.ID = o.str("policy_id")
	if raw := ms.find("enabled"); raw != nil {
		var on *bool
		if json.Unmarshal(raw, &on) != nil || on == nil {
			o.fail("enabled", "expected true or false")
		} else {
			d.Disabled = !*on
		}
	}
	return d, o.problem
}
