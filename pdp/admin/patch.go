package admin

import (
	"bytes"
	"encoding/json"
	"net/http"

	"thymus/pdp/policy"
)

// patchPolicy changes a policy by a JSON merge patch (RFC 7396): any member of a structured policy, and of one in Rego
// the switch alone.
func (s *Server) patchPolicy(w http.ResponseWriter, r *http.Request) {
	body, _, p := readBody(r, maxPolicyBody, typePatch, typeJSON)
	if p != nil {
		FailWith(w, p)
		return
	}
	patch, err := readMembers(body)
	if err != nil {
		FailWith(w, fieldProblem("", "expected an object"))
		return
	}
	patch = patch.without(serverMembers()...)
	c := readPrecondition(r)
	pol, _, err := s.o.Policies.Edit(actor(r), r.PathValue("id"), c.condition(), func(cur *policy.Policy) (policy.Draft, error) {
		if cur.Form == policy.Rego {
			return patchRego(cur, patch)
		}
		text, err := mergePatch(cur.Texts[0].Text, patch.append(nil))
		return policy.Draft{Form: policy.Structured, Text: text}, err
	}, false)
	if err != nil {
		c.failed(s, w, err)
		return
	}
	s.answerPolicy(w, http.StatusOK, &pol)
}

func patchRego(cur *policy.Policy, patch members) (policy.Draft, error) {
	d := policy.Draft{Form: policy.Rego, Text: cur.Texts[0].Text, Disabled: cur.Disabled}
	for _, m := range patch {
		if m.name != "enabled" {
			return d, &policy.FieldError{Field: m.name, Detail: "of a policy in Rego only enabled can be patched; send the source with PUT"}
		}
		var on *bool
		if json.Unmarshal(m.value, &on) != nil || on == nil {
			return d, &policy.FieldError{Field: "enabled", Detail: "expected true or false"}
		}
		if *on && !cur.Disabled && !cur.Enabled {
			return d, &policy.FieldError{Field: "enabled", Detail: "the source's METADATA says enabled: false; send another source with PUT"}
		}
		d.Disabled = !*on
	}
	return d, nil
}

// mergePatch applies a patch to a document (RFC 7396); both are valid JSON objects. Members keep their places, numbers
// their text.
func mergePatch(doc, patch []byte) ([]byte, error) {
	into, err := readMembers(doc)
	if err != nil {
		into = nil // what is no object is replaced by one
	}
	with, err := readMembers(patch)
	if err != nil {
		return nil, err
	}
	for _, m := range with {
		at := -1
		for i := range into {
			if into[i].name == m.name {
				at = i
			}
		}
		value := bytes.TrimSpace(m.value)
		switch {
		case string(value) == "null":
			into = into.without(m.name)
			continue
		case len(value) > 0 && value[0] == '{':
			var old []byte
			if at >= 0 {
				old = into[at].value
			}
			if value, err = mergePatch(old, value); err != nil {
				return nil, err
			}
		}
		if at < 0 {
			into = append(into, memberOf{m.name, value})
			continue
		}
		into[at].value = value
	}
	return into.append(nil), nil
}
