package admin

import (
	"fmt"
	"slices"
	"strings"
)

// typeFilter says which types of events a client wants. It belongs to one goroutine.
type typeFilter struct {
	all      bool
	exact    map[string]bool
	prefixes []string
	known    map[string]bool // answers given
}

// eventTypes lists the types of events, as docs/events.schema.json does.
func eventTypes() []string {
	return []string{
		"policy.evaluated", "policy.denied", "policy.warning_triggered", "policy.audit_required", "policy.created", "policy.updated",
		"policy.deleted", "threat.detected", "threat.status_changed", "threat.severity_changed", "threat.escalated",
		"threat.mitigated", "immune.event_published", "immune.critical_event", "immune.severity_changed",
		"immune.self_protection_triggered",
	}
}

// maxTypes bounds the list of one client.
const maxTypes = 64

// parseTypes reads ?types=policy.denied,threat.*; nothing is everything. wrong says what is wrong with it: a client that
// waited for what never comes would learn nothing.
func parseTypes(values []string) (f *typeFilter, wrong string) {
	f = &typeFilter{all: len(values) == 0, exact: map[string]bool{}, known: map[string]bool{}}
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			name, prefix := strings.CutSuffix(t, "*")
			switch {
			case len(t) > 64 || !typeName(name) || name == "" && !prefix || prefix && name != "" && name[len(name)-1] != '.':
				return nil, "expected up to 64 event types such as policy.denied or threat.*, separated by commas"
			case name == "":
				f.all = true
			case !slices.ContainsFunc(eventTypes(), func(s string) bool { return s == name || prefix && strings.HasPrefix(s, name) }):
				return nil, fmt.Sprintf("no event type is %q; expected %s", t, strings.Join(eventTypes(), ", "))
			case prefix:
				f.prefixes = append(f.prefixes, name)
			default:
				f.exact[name] = true
			}
			if len(f.exact)+len(f.prefixes) > maxTypes {
				return nil, fmt.Sprintf("expected up to %d event types", maxTypes)
			}
		}
	}
	return f, ""
}

func typeName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

func (f *typeFilter) takes(t string) bool {
	if f.all {
		return true
	}
	yes, ok := f.known[t]
	if !ok {
		yes = f.exact[t]
		for _, p := range f.prefixes {
			yes = yes || strings.HasPrefix(t, p)
		}
		if len(f.known) < 256 {
			f.known[t] = yes
		}
	}
	return yes
}
