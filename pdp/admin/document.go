package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"thymus/pdp"
	"thymus/pdp/policy"
)

// policyMeta is what the API knows of a policy besides its text. All but the first six members are the server's: what
// comes with a policy under their names is ignored, so that what was read can be sent back.
type policyMeta struct {
	ID          string   `json:"policy_id"`
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Description string   `json:"description"`
	Enabled     bool     `json:"enabled"`
	Default     *string  `json:"default_effect"`
	Form        string   `json:"form"`
	Rules       int      `json:"rules_count"`
	Origin      string   `json:"origin"`
	ReadOnly    bool     `json:"read_only"`
	Revision    *uint64  `json:"revision"` // null for what is read-only
	Digest      string   `json:"digest"`
	CreatedAt   *float64 `json:"created_at"`
	UpdatedAt   *float64 `json:"updated_at"`
	UpdatedBy   *string  `json:"updated_by"`
}

// serverMembers are the names of what the server adds to a policy.
func serverMembers() []string {
	return []string{"form", "rules_count", "origin", "read_only", "revision", "digest", "created_at", "updated_at", "updated_by"}
}

func metaOf(p *policy.Policy) policyMeta {
	m := policyMeta{ID: p.ID, Name: p.Title(), Version: p.Version, Description: p.Description, Enabled: p.Enabled,
		Form: string(p.Form), Rules: p.Rules, Origin: p.Origin, ReadOnly: p.ReadOnly, Digest: p.Digest}
	if p.Default != pdp.None {
		d := p.Default.String()
		m.Default = &d
	}
	if !p.ReadOnly {
		m.Revision, m.CreatedAt, m.UpdatedAt, m.UpdatedBy = &p.Revision, &p.CreatedAt, &p.UpdatedAt, &p.UpdatedBy
	}
	return m
}

// document is one policy as JSON: a structured policy's own members and what the server adds; of a policy in Rego its
// source, or where it has several modules all of them.
func (s *Server) document(p *policy.Policy) ([]byte, error) {
	meta, err := marshal(metaOf(p))
	if err != nil {
		return nil, err
	}
	known, err := readMembers(meta)
	if err != nil {
		return nil, err
	}
	if p.Form == policy.Rego {
		return regoDocument(p, known)
	}
	text, err := s.o.Policies.JSON(p)
	if err != nil {
		return nil, err
	}
	ms, err := readMembers(text)
	if err != nil {
		return nil, err
	}
	for _, m := range known {
		if m.name == "enabled" && !ms.has(m.name) || slices.Contains(serverMembers(), m.name) {
			ms = append(ms.without(m.name), m)
		}
	}
	return ms.append(nil), nil
}

func regoDocument(p *policy.Policy, ms members) ([]byte, error) {
	add := func(name string, v any) error {
		raw, err := marshal(v)
		ms = append(ms, memberOf{name, raw})
		return err
	}
	if len(p.Texts) == 1 {
		err := add("rego", string(p.Texts[0].Text))
		return ms.append(nil), err
	}
	type module struct {
		Origin string `json:"origin"`
		Rego   string `json:"rego"`
	}
	modules := make([]module, len(p.Texts))
	for i, t := range p.Texts {
		modules[i] = module{t.Origin, string(t.Text)}
	}
	err := add("modules", modules)
	return ms.append(nil), err
}

// revisionDocument is one entry of a history with the text it stands for.
type revisionDocument struct {
	policy.Revision
	Policy json.RawMessage `json:"policy,omitempty"` // structured
	Rego   string          `json:"rego,omitempty"`
}

func withText(r policy.Revision) revisionDocument {
	d := revisionDocument{Revision: r}
	if r.Form == policy.Rego {
		d.Rego = string(r.Text)
		return d
	}
	ms, err := readMembers(r.Text)
	if err != nil {
		return d // a deletion
	}
	if !ms.has("enabled") {
		ms = append(ms, memberOf{"enabled", json.RawMessage("true")})
	}
	d.Policy = ms.append(nil)
	return d
}

// members are those of a JSON object, in their order, values as they were sent.
type members []memberOf

type memberOf struct {
	name  string
	value json.RawMessage
}

var errNoObject = errors.New("expected an object")

// readMembers reads an object that is valid JSON.
func readMembers(text []byte) (members, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoObject
	}
	var out members
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := memberOf{name: t.(string)} // the grammar knows nothing else here
		if err := dec.Decode(&m.value); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (ms members) find(name string) json.RawMessage {
	for _, m := range ms {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func (ms members) has(name string) bool { return ms.find(name) != nil }

func (ms members) without(names ...string) members {
	return slices.DeleteFunc(slices.Clone(ms), func(m memberOf) bool { return slices.Contains(names, m.name) })
}

func (ms members) append(dst []byte) []byte {
	dst = append(dst, '{')
	for i, m := range ms {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(pdp.AppendString(dst, m.name), ':')
		dst = append(dst, m.value...)
	}
	return append(dst, '}')
}
