package cli

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"thymus/emitter"
	"thymus/pdp"
	"thymus/rules"
)

// Adopt keeps the rule rows of a set that is about to decide, and reports what a reload changed. Where the rows cannot
// be kept the set decides all the same: its records then carry their texts themselves.
func (e *events) Adopt(old, set *rules.Set) error {
	if err := e.rows.Persist(set.Snapshot); err != nil {
		e.log.Error().Err(err).Msg("rule rows cannot be stored; records carry them, and are larger")
	}
	if old == nil {
		return nil
	}
	now := time.Now().UnixNano()
	for _, ev := range policyEvents(old, set, now) {
		if err := e.Publish(pdp.ClassAdmin, &ev); err != nil {
			e.log.Error().Str("type", ev.Type).Str("policy", ev.Key).Err(err).Msg("event not recorded")
		}
	}
	return nil
}

// policyEvents are the events of what differs between two sets, by policy id.
func policyEvents(old, set *rules.Set, now int64) (out []pdp.Event) {
	find := func(ps []rules.PolicyInfo, id string) *rules.PolicyInfo {
		i, ok := slices.BinarySearchFunc(ps, id, func(p rules.PolicyInfo, id string) int { return strings.Compare(p.ID, id) })
		if !ok {
			return nil
		}
		return &ps[i]
	}
	event := func(typ, id string, payload []byte) {
		out = append(out, pdp.Event{Time: now, Source: pdp.SourcePolicy, Type: typ, Key: id, Payload: payload})
	}
	for i := range old.Policies {
		if p := &old.Policies[i]; find(set.Policies, p.ID) == nil {
			b := member(nil, '{', "policy_id", p.ID)
			b = member(b, ',', "name", policyName(p))
			event("policy.deleted", p.ID, moment(b, "deleted_at", now))
		}
	}
	for i := range set.Policies {
		p := &set.Policies[i]
		was := find(old.Policies, p.ID)
		if was == nil {
			b := member(nil, '{', "policy_id", p.ID)
			b = member(b, ',', "name", policyName(p))
			b = member(b, ',', "version", p.Version)
			b = append(b, `,"rules_count":`...)
			b = strconv.AppendInt(b, int64(p.Rules), 10)
			b = append(b, `,"enabled":`...)
			b = strconv.AppendBool(b, p.Enabled)
			event("policy.created", p.ID, moment(b, "created_at", now))
			continue
		}
		if changes := policyChanges(was, p, rowsOf(old, p.ID), rowsOf(set, p.ID)); changes != nil {
			b := member(nil, '{', "policy_id", p.ID)
			b = append(append(b, `,"changes":`...), changes...)
			event("policy.updated", p.ID, moment(b, "updated_at", now))
		}
	}
	return out
}

// policyChanges is the object of what changed; nil for nothing.
func policyChanges(was, is *rules.PolicyInfo, wasRows, isRows []pdp.Rule) []byte {
	b := []byte{'{'}
	text := func(field, old, now string) {
		if old != now {
			b = comma(b)
			b = append(pdp.AppendString(b, field), `:{"old":`...)
			b = append(pdp.AppendString(b, old), `,"new":`...)
			b = append(pdp.AppendString(b, now), '}')
		}
	}
	text("name", policyName(was), policyName(is))
	text("version", was.Version, is.Version)
	text("description", was.Description, is.Description)
	if was.Enabled != is.Enabled {
		b = append(comma(b), `"enabled":{"old":`...)
		b = append(strconv.AppendBool(b, was.Enabled), `,"new":`...)
		b = append(strconv.AppendBool(b, is.Enabled), '}')
	}
	text("default_effect", was.Default.String(), is.Default.String())
	if was.Rules != is.Rules || !slices.Equal(wasRows, isRows) {
		b = append(comma(b), `"rules":{"old_count":`...)
		b = append(strconv.AppendInt(b, int64(was.Rules), 10), `,"new_count":`...)
		b = append(strconv.AppendInt(b, int64(is.Rules), 10), '}')
	}
	if len(b) == 1 {
		return nil
	}
	return append(b, '}')
}

// rowsOf are a policy's rows: what of its rules is constant.
func rowsOf(s *rules.Set, id string) (rows []pdp.Rule) {
	for _, r := range s.Snapshot.Rules { // sorted by policy
		if r.Policy == id {
			rows = append(rows, r)
		}
	}
	return rows
}

func policyName(p *rules.PolicyInfo) string {
	if p.Name == "" {
		return p.ID
	}
	return p.Name
}

func comma(b []byte) []byte {
	if len(b) > 1 {
		return append(b, ',')
	}
	return b
}

func member(b []byte, before byte, name, value string) []byte {
	b = pdp.AppendString(append(b, before), name)
	return pdp.AppendString(append(b, ':'), value)
}

// moment ends an object with a time.
func moment(b []byte, name string, ns int64) []byte {
	b = append(pdp.AppendString(append(b, ','), name), ':')
	return append(emitter.AppendSeconds(b, ns), '}')
}
