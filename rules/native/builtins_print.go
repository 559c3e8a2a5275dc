package native

import (
	"strconv"
	"strings"
)

// printing is sprintf of what most messages are made of: the verbs %s, %v, %d and %q without flags, and %f with one
// digit of precision at most, as many as there are arguments. Everything else is OPA's, which is package fmt's.
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
		verb, precision := after[0], 6
		if verb == '.' && len(after) > 2 && after[1]-'0' <= 9 && after[2] == 'f' {
			precision, verb, after = int(after[1]-'0'), 'f', after[2:]
		}
		format = after[1:]
		if verb == '%' {
			m.text = append(m.text, '%')
			continue
		}
		if len(args) == 0 || !m.print(verb, precision, args[0]) {
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

// print appends one argument. What is neither a text nor a number is to fmt the text that Rego writes it in.
func (m *machine) print(verb byte, precision int, v val) bool {
	plain := verb == 's' || verb == 'v'
	switch {
	case verb == 'f':
		return m.printFloat('f', precision, v)
	case v.kind == number && v.p != nil && verb == 'v':
		return m.printFloat('g', -1, v)
	case v.kind == number:
		if !v.isInt() || verb != 'd' && verb != 'v' {
			return false
		}
		m.text = appendNumber(m.text, v)
	case v.kind == text && verb == 'q' && v.n <= maxConcat:
		m.text = strconv.AppendQuote(m.text, v.str())
	case v.kind == text && plain && v.n <= maxConcat:
		m.text = append(m.text, v.str()...)
	case plain:
		from := len(m.text)
		return m.rego(v, 0) && len(m.text)-from <= maxConcat
	default:
		return false
	}
	return true
}

// printFloat prints decimals that a float64 holds.
func (m *machine) printFloat(format byte, precision int, v val) bool {
	if !fraction(v) {
		return false
	}
	m.text = strconv.AppendFloat(m.text, v.float(), format, precision, 64)
	return true
}

// rego appends a value as Rego writes it, unless it is deep or large.
func (m *machine) rego(v val, depth int) bool {
	switch v.kind {
	case text:
		m.text = strconv.AppendQuote(m.text, v.str())
		return true
	case null, boolean, number:
		m.text = m.appendJSON(m.text, v)
		return true
	}
	n, brackets := m.lower(v), "{}"
	if depth > maxDepth || len(n.e) > maxParts {
		return false
	}
	if v.kind == set && len(n.e) == 0 {
		m.text = append(m.text, "set()"...)
		return true
	}
	if v.kind == array {
		brackets = "[]"
	}
	n.sort(m, v.kind)
	m.text = append(m.text, brackets[0])
	for i := range n.e {
		switch {
		case v.kind == object && i%2 == 1:
			m.text = append(m.text, ": "...)
		case i > 0:
			m.text = append(m.text, ", "...)
		}
		if !m.rego(n.e[i], depth+1) || len(m.text) > 4*maxConcat {
			return false
		}
	}
	m.text = append(m.text, brackets[1])
	return true
}
