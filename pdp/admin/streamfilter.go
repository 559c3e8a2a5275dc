package admin

import "strings"

// typeFilter says which types of events a client wants. It belongs to one goroutine.
type typeFilter struct {
	all      bool
	exact    map[string]bool
	prefixes []string
	known    map[string]bool // answers given
}

// parseTypes reads ?types=policy.denied,threat.*; nothing is everything. false: it is no such list.
func parseTypes(values []string) (*typeFilter, bool) {
	f := &typeFilter{all: len(values) == 0, exact: map[string]bool{}, known: map[string]bool{}}
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			name, prefix := strings.CutSuffix(t, "*")
			switch {
			case len(t) > 64 || !typeName(name) || name == "" && !prefix || prefix && name != "" && name[len(name)-1] != '.':
				return nil, false
			case name == "":
				f.all = true
			case prefix:
				f.prefixes = append(f.prefixes, name)
			default:
				f.exact[name] = true
			}
		}
	}
	return f, len(f.exact)+len(f.prefixes) <= 64
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
