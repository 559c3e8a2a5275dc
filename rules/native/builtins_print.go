package native

import "strings"

// printing is sprintf of what most messages are made of: the verbs %s, %v and %d without flags, as many as there are
// arguments, over texts, integers, booleans and null. Everything else is OPA's, which is package fmt's.
var printing = map[string]native{"sprintf": sprintf}

func sprintf(m *machine, a []val) (val, bool) {
	if a[0].kind != text || a[1].kind != array || a[0].n > maxConcat {
		return val{}, false
	}
	args := m.lower(a[1]).e
	from := len(m.text)
	for format := a[0].str(); ; {
		before, after, more := strings.Cut(format, "%")
		m.text = append(m.text, before...)
		if !more {
			break
		}
		if after == "" || len(m.text)-from > maxConcat {
			return m.giveUp(from)
		}
		verb := after[0]
		format = after[1:]
		if verb == '%' {
			m.text = append(m.text, '%')
			continue
		}
		if len(args) == 0 || !m.print(verb, args[0]) {
			return m.giveUp(from)
		}
		args = args[1:]
	}
	if len(args) > 0 || len(m.text)-from > maxConcat {
		return m.giveUp(from)
	}
	return m.makeText(from), true
}

func (m *machine) giveUp(from int) (val, bool) {
	m.text = m.text[:from]
	return val{}, false
}

// print appends one argument: texts, booleans and null are texts to fmt.
func (m *machine) print(verb byte, v val) bool {
	switch {
	case v.kind == text && (verb == 's' || verb == 'v') && v.n <= maxConcat:
		m.text = append(m.text, v.str()...)
	case v.kind <= boolean && (verb == 's' || verb == 'v'):
		m.text = m.appendJSON(m.text, v)
	case v.isInt() && (verb == 'd' || verb == 'v'):
		m.text = appendNumber(m.text, v)
	default:
		return false
	}
	return true
}
