package native

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/glob"
)

// patternBuiltins are those whose patterns come from data or from the request, and so are compiled when they are met; a
// pattern that is a constant of the policy is compiled with the call: see special.
var patternBuiltins = map[string]native{
	"regex.match":   regexMatchAny,
	"regex.split":   regexSplit,
	"regex.find_n":  regexFind,
	"regex.replace": regexReplace,
	"glob.match":    globMatchAny,
}

// patterns is what a machine has compiled, for its evaluations to come: patterns of the program, and of those that come
// from requests, which may be new each time, the first small ones. The rest is OPA's, which keeps patterns too.
type patterns struct {
	regexes map[string]*regexp.Regexp
	globs   map[globKey]*glob.Pattern
	lent    int // that came from requests
}

// room says whether a pattern may be kept beside n others. One that takes little memory has no repetition by number, which
// multiplies.
func (p *patterns) room(pattern val, n int) bool {
	if pattern.mark {
		return n < keepPatterns
	}
	return p.lent < keepLent && pattern.n <= shortPattern && !strings.Contains(pattern.str(), "{")
}

// count counts one that is kept.
func (p *patterns) count(pattern val) {
	if !pattern.mark {
		p.lent++
	}
}

type globKey struct{ pattern, delimiters string }

const (
	keepPatterns = 1 << 12 // of each kind
	keepLent     = 64      // of those that come from requests
	shortPattern = 1 << 7  // bytes
	longPattern  = 1 << 10 // bytes, from where on OPA compiles it
	longResult   = 1 << 8  // bytes put in the place of each match, from where on OPA does
)

// regex is the compiled pattern; nil where there is no room for it, or it is none, of which OPA knows to tell.
func (m *machine) regex(pattern, subject val) *regexp.Regexp {
	if !bothTexts(pattern, subject) || pattern.n > longPattern || subject.n > longText {
		return nil
	}
	if re := m.patterns.regexes[pattern.str()]; re != nil {
		return re
	}
	if !m.patterns.room(pattern, len(m.patterns.regexes)) {
		return nil
	}
	s := strings.Clone(pattern.str())
	re, err := regexp.Compile(s)
	if err != nil {
		return nil
	}
	m.patterns.count(pattern)
	if m.patterns.regexes == nil {
		m.patterns.regexes = map[string]*regexp.Regexp{}
	}
	m.patterns.regexes[s] = re
	return re
}

func regexMatchAny(m *machine, a []val) (val, bool) {
	re := m.regex(a[0], a[1])
	if re == nil {
		return val{}, false
	}
	return boolVal(re.MatchString(a[1].str())), true
}

func regexSplit(m *machine, a []val) (val, bool) {
	re := m.regex(a[0], a[1])
	if re == nil {
		return val{}, false
	}
	if !re.MatchString(a[1].str()) {
		n := m.arena.node()
		n.e = append(n.e, a[1])
		return nodeVal(array, n), true
	}
	return m.textsOf(re.Split(a[1].str(), -1)), true
}

func regexFind(m *machine, a []val) (val, bool) {
	re := m.regex(a[0], a[1])
	if re == nil || !a[2].isInt() || a[2].n != int64(int32(a[2].n)) {
		return val{}, false
	}
	if !re.MatchString(a[1].str()) {
		return nodeVal(array, m.arena.node()), true
	}
	return m.textsOf(re.FindAllString(a[1].str(), int(a[2].n))), true
}

func (m *machine) textsOf(parts []string) val {
	n := m.arena.node()
	for _, s := range parts {
		n.e = append(n.e, strVal(s))
	}
	return nodeVal(array, n)
}

func regexReplace(m *machine, a []val) (val, bool) {
	re := m.regex(a[1], a[0])
	if re == nil || a[2].kind != text || a[2].n > longResult {
		return val{}, false
	}
	s := a[0].str()
	if !re.MatchString(s) {
		return a[0], true
	}
	from, end := len(m.text), 0
	for _, at := range re.FindAllStringSubmatchIndex(s, -1) {
		m.text = append(m.text, s[end:at[0]]...)
		m.text = re.ExpandString(m.text, a[2].str(), s, at)
		end = at[1]
	}
	m.text = append(m.text, s[end:]...)
	return m.makeText(from), true
}

func globMatchAny(m *machine, a []val) (val, bool) {
	if !bothTexts(a[0], a[2]) || a[0].n > longPattern || a[2].n > longText {
		return val{}, false
	}
	from := len(m.text)
	switch a[1].kind {
	case null:
	case array:
		e := m.lower(a[1]).e
		for i := range e {
			if e[i].kind != text || !oneRune(e[i].str()) {
				return m.giveUp(from)
			}
			m.text = append(m.text, e[i].str()...)
		}
		if len(e) == 0 { // as OPA reads it
			m.text = append(m.text, '.')
		}
	default:
		return val{}, false
	}
	key := globKey{pattern: a[0].str(), delimiters: string(m.text[from:])}
	g := m.patterns.globs[key]
	m.text = m.text[:from]
	if g == nil {
		if g = m.compileGlob(key, a[0]); g == nil {
			return val{}, false
		}
	}
	return boolVal(g.Match(a[2].str())), true
}

func (m *machine) compileGlob(key globKey, pattern val) *glob.Pattern {
	if !m.patterns.room(pattern, len(m.patterns.globs)) {
		return nil
	}
	key.pattern = strings.Clone(key.pattern)
	g, err := glob.Compile(key.pattern, []rune(key.delimiters)...)
	if err != nil {
		return nil
	}
	m.patterns.count(pattern)
	if m.patterns.globs == nil {
		m.patterns.globs = map[globKey]*glob.Pattern{}
	}
	m.patterns.globs[key] = g
	return g
}

func oneRune(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && n == len(s) && r != utf8.RuneError
}
