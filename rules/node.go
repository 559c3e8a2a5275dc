package rules

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// node is a JSON value with its place in the source, which may have been YAML.
type node struct {
	kind    pdp.Kind
	text    string // Number: its JSON text, exact. String: the string
	line    int
	col     int
	members []member // Object
	items   []*node  // Array
}

type member struct {
	key       string
	line, col int
	value     *node
}

// get is the member of an object, nil where there is none.
func (n *node) get(key string) *node {
	for i := range n.members {
		if n.members[i].key == key {
			return n.members[i].value
		}
	}
	return nil
}

// kindName is the type of the value as JSON's users call it.
func kindName(k pdp.Kind) string {
	switch k {
	case pdp.Null:
		return "null"
	case pdp.False, pdp.True:
		return "a boolean"
	case pdp.Number:
		return "a number"
	case pdp.String:
		return "a string"
	case pdp.Array:
		return "an array"
	}
	return "an object"
}

// appendJSON appends the value as JSON, which is also Rego, with members in the order of the source.
func (n *node) appendJSON(dst []byte) []byte {
	switch n.kind {
	case pdp.Null:
		return append(dst, "null"...)
	case pdp.False:
		return append(dst, "false"...)
	case pdp.True:
		return append(dst, "true"...)
	case pdp.Number:
		return append(dst, n.text...)
	case pdp.String:
		return appendText(dst, n.text)
	case pdp.Array:
		dst = append(dst, '[')
		for i, it := range n.items {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = it.appendJSON(dst)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i := range n.members {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendText(dst, n.members[i].key)
		dst = append(dst, ": "...)
		dst = n.members[i].value.appendJSON(dst)
	}
	return append(dst, '}')
}

// appendText appends a string literal that JSON, YAML and Rego read alike: what one of their scanners refuses, or takes for
// a line's end, stands as an escape.
func appendText(dst []byte, s string) []byte {
	from := len(dst)
	dst = pdp.AppendString(dst, s)
	if !strings.ContainsFunc(s, refused) {
		return dst
	}
	literal := string(dst[from:])
	dst = dst[:from]
	for _, r := range literal {
		if refused(r) {
			dst = fmt.Appendf(dst, `\u%04x`, r)
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// refused are the characters behind ASCII's controls that JSON allows as they are and another does not.
func refused(r rune) bool {
	return r >= 0x7f && r <= 0x9f || r == 0xfeff || r == 0xfffe || r == 0xffff
}

// value is the node as OPA's value, numbers exact.
func (n *node) value() ast.Value {
	switch n.kind {
	case pdp.Null:
		return ast.NullValue
	case pdp.False:
		return ast.Boolean(false)
	case pdp.True:
		return ast.Boolean(true)
	case pdp.Number:
		return ast.Number(n.text)
	case pdp.String:
		return ast.String(n.text)
	case pdp.Array:
		terms := make([]*ast.Term, len(n.items))
		for i, it := range n.items {
			terms[i] = ast.NewTerm(it.value())
		}
		return ast.NewArray(terms...)
	}
	terms := make([][2]*ast.Term, len(n.members))
	for i := range n.members {
		terms[i] = [2]*ast.Term{ast.StringTerm(n.members[i].key), ast.NewTerm(n.members[i].value.value())}
	}
	return ast.NewObject(terms...)
}

// integer reads a JSON number that is an integer by its value: 10, 1e1 and 10.0 alike. It must fit 64 bits.
func integer(text string) (int64, bool) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, true
	}
	mantissa, exp, _ := strings.Cut(strings.ToLower(text), "e")
	e := 0
	if exp != "" {
		var err error
		if e, err = strconv.Atoi(exp); err != nil || e > 400 || e < -400 {
			return 0, false
		}
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	digits, point := whole+frac, len(whole)+e
	for len(digits) < point {
		digits += "0"
	}
	if point < 0 {
		point = 0
		if strings.HasPrefix(whole, "-") {
			point = 1
		}
	}
	if strings.Trim(digits[point:], "0") != "" {
		return 0, false
	}
	head := digits[:point]
	if head == "" || head == "-" {
		return 0, strings.Trim(digits, "-0") == ""
	}
	i, err := strconv.ParseInt(head, 10, 64)
	return i, err == nil
}
