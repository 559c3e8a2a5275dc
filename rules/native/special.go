package native

import (
	"net/netip"
	"regexp"
	"unicode/utf8"

	"github.com/gobwas/glob"
	"github.com/open-policy-agent/opa/v1/ast"
)

// special is a builtin whose constant arguments are compiled with the call: a pattern or a network. Nil where there is
// none; a pattern that does not compile is left to OPA, which reports it.
func special(name string, args []*ast.Term) native {
	switch name {
	case "regex.match":
		return regexMatch(args)
	case "glob.match":
		return globMatch(args)
	case "net.cidr_contains":
		return cidrContains(args)
	}
	return nil
}

func constantText(t *ast.Term) (string, bool) {
	s, ok := t.Value.(ast.String)
	return string(s), ok
}

func regexMatch(args []*ast.Term) native {
	p, ok := constantText(args[0])
	if !ok {
		return nil
	}
	re, err := regexp.Compile(p)
	if err != nil {
		return nil
	}
	return func(_ *machine, a []val) (val, bool) {
		if a[1].kind != text || a[1].n > longText {
			return val{}, false
		}
		return boolVal(re.MatchString(a[1].str())), true
	}
}

// longText is from where on a pattern's cost is for whoever bounds builtins to judge: see Options.
const longText = 4 << 10

func globMatch(args []*ast.Term) native {
	p, ok := constantText(args[0])
	if !ok {
		return nil
	}
	var delimiters []rune
	switch d := args[1].Value.(type) {
	case ast.Null:
	case *ast.Array:
		for i := range d.Len() {
			s, ok := constantText(d.Elem(i))
			r, n := utf8.DecodeRuneInString(s)
			if !ok || n != len(s) || n == 0 || r == utf8.RuneError {
				return nil
			}
			delimiters = append(delimiters, r)
		}
		if d.Len() == 0 { // as OPA reads it
			delimiters = []rune{'.'}
		}
	default:
		return nil
	}
	g, err := glob.Compile(p, delimiters...)
	if err != nil {
		return nil
	}
	return func(_ *machine, a []val) (val, bool) {
		if a[2].kind != text || a[2].n > longText {
			return val{}, false
		}
		return boolVal(g.Match(a[2].str())), true
	}
}

// cidrContains compiles a network that is constant; what is no plain network or address is OPA's.
func cidrContains(args []*ast.Term) native {
	p, ok := constantText(args[0])
	if !ok {
		return nil
	}
	network, ok := plainNetwork(p)
	if !ok {
		return nil
	}
	return func(_ *machine, a []val) (val, bool) { return within(network, a[1]) }
}

// within says whether a network holds an address, or all of another network.
func within(network netip.Prefix, v val) (val, bool) {
	if v.kind != text {
		return val{}, false
	}
	ip, err := netip.ParseAddr(v.str())
	if err != nil {
		other, ok := plainNetwork(v.str())
		return boolVal(other.Bits() >= network.Bits() && network.Contains(other.Addr())), ok
	}
	return boolVal(network.Contains(ip)), !ip.Is4In6() && ip.Zone() == ""
}

// plainNetwork reads what package net, and so OPA, reads in the same way: networks of either version, but for those of
// addresses of version 4 written as of version 6.
func plainNetwork(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, false
	}
	p = p.Masked()
	return p, !p.Addr().Is4In6()
}

// cidrContainsAny is net.cidr_contains of a network that is no constant.
func cidrContainsAny(_ *machine, a []val) (val, bool) {
	if a[0].kind != text {
		return val{}, false
	}
	network, ok := plainNetwork(a[0].str())
	if !ok {
		return val{}, false
	}
	return within(network, a[1])
}

func cidrIntersects(_ *machine, a []val) (val, bool) {
	if !bothTexts(a[0], a[1]) {
		return val{}, false
	}
	x, ok := plainNetwork(a[0].str())
	y, also := plainNetwork(a[1].str())
	return boolVal(x.Overlaps(y)), ok && also
}

// cidrIsValid says yes to what both netip and net read as a network.
func cidrIsValid(_ *machine, a []val) (val, bool) {
	if a[0].kind != text {
		return val{}, false
	}
	_, ok := plainNetwork(a[0].str())
	return boolVal(true), ok
}
