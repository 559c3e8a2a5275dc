package policy

import (
	"bytes"
	"strconv"

	"thymus/pdp"
)

// event is what a change of one policy is told as (CONTRACT 6); was or is is nil where there was or is none.
func (s *Store) event(was, is *Info, now int64) pdp.Event {
	switch {
	case is == nil:
		return deletedEvent(was, now)
	case was == nil:
		return createdEvent(is, now)
	}
	return updatedEvent(is, s.changes(was, is), now)
}

// compare gives the events of all that differs between two sets, by policy id.
func (s *Store) compare(old, set *Set, now int64) (out []pdp.Event) {
	a, b := old.Policies, set.Policies
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].ID < b[0].ID:
			out = append(out, deletedEvent(a[0], now))
			a = a[1:]
		case len(a) == 0 || b[0].ID < a[0].ID:
			out = append(out, createdEvent(b[0], now))
			b = b[1:]
		default:
			if a[0] == b[0] {
				// nothing changed
			} else if changes := s.changes(a[0], b[0]); len(changes) > len("{}") {
				out = append(out, updatedEvent(b[0], changes, now))
			}
			a, b = a[1:], b[1:]
		}
	}
	return out
}

func about(typ, id string, payload []byte, at string, now int64) pdp.Event {
	payload = append(pdp.AppendString(append(payload, ','), at), ':')
	payload = append(strconv.AppendFloat(payload, seconds(now), 'f', 6, 64), '}')
	return pdp.Event{Time: now, Source: pdp.SourcePolicy, Type: typ, Key: id, Payload: payload}
}

func createdEvent(p *Info, now int64) pdp.Event {
	b := member(nil, '{', "policy_id", p.ID)
	b = member(b, ',', "name", p.Title())
	b = member(b, ',', "version", p.Version)
	b = strconv.AppendInt(append(b, `,"rules_count":`...), int64(p.Rules), 10)
	b = strconv.AppendBool(append(b, `,"enabled":`...), p.Enabled)
	return about("policy.created", p.ID, b, "created_at", now)
}

func updatedEvent(p *Info, changes []byte, now int64) pdp.Event {
	b := member(nil, '{', "policy_id", p.ID)
	b = append(append(b, `,"changes":`...), changes...)
	return about("policy.updated", p.ID, b, "updated_at", now)
}

func deletedEvent(p *Info, now int64) pdp.Event {
	b := member(nil, '{', "policy_id", p.ID)
	return about("policy.deleted", p.ID, member(b, ',', "name", p.Title()), "deleted_at", now)
}

// changes is the object of what differs, {field:{old,new}}; of rules it is only the counts, which may be equal.
func (s *Store) changes(was, is *Info) []byte {
	d := diff{'{'}
	d.text("name", was.Title(), is.Title())
	d.text("version", was.Version, is.Version)
	d.text("description", was.Description, is.Description)
	d.text("form", string(was.Form), string(is.Form))
	if was.Enabled != is.Enabled {
		d.open("enabled")
		d = strconv.AppendBool(append(d, `"old":`...), was.Enabled)
		d = append(strconv.AppendBool(append(d, `,"new":`...), is.Enabled), '}')
	}
	if was.Default != is.Default {
		d.open("default_effect")
		d = effect(append(d, `"old":`...), was.Default)
		d = append(effect(append(d, `,"new":`...), is.Default), '}')
	}
	if s.rulesDiffer(was, is) {
		d.open("rules")
		d = strconv.AppendInt(append(d, `"old_count":`...), int64(was.Rules), 10)
		d = append(strconv.AppendInt(append(d, `,"new_count":`...), int64(is.Rules), 10), '}')
	}
	return append(d, '}')
}

func (s *Store) rulesDiffer(was, is *Info) bool {
	same := was.Form == is.Form && len(was.Texts) == len(is.Texts)
	for i := 0; same && i < len(is.Texts); i++ {
		same = bytes.Equal(was.Texts[i].Text, is.Texts[i].Text)
	}
	return !same && (was.Form != is.Form || was.Rules != is.Rules ||
		!bytes.Equal(s.compiler.RulesOf(was.Form, was.Texts), s.compiler.RulesOf(is.Form, is.Texts)))
}

// diff is an object that is being written.
type diff []byte

// open begins a field's value.
func (d *diff) open(field string) {
	if len(*d) > 1 {
		*d = append(*d, ',')
	}
	*d = append(pdp.AppendString(*d, field), ':', '{')
}

func (d *diff) text(field, was, is string) {
	if was == is {
		return
	}
	d.open(field)
	*d = pdp.AppendString(append(*d, `"old":`...), was)
	*d = append(pdp.AppendString(append(*d, `,"new":`...), is), '}')
}

func effect(b []byte, e pdp.Effect) []byte {
	if e == pdp.None {
		return append(b, "null"...)
	}
	return pdp.AppendString(b, e.String())
}

func member(b []byte, before byte, name, value string) []byte {
	b = pdp.AppendString(append(b, before), name)
	return pdp.AppendString(append(b, ':'), value)
}
