package rules

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// element is what one value of an effect set says.
type element struct {
	id, name, reason string
	priority         int64
	guardrail        bool
}

// readElement reads a value of an effect set; where it is no rule, wrong says why.
func readElement(v ast.Value) (e element, wrong string) {
	switch v := v.(type) {
	case ast.String:
		if v == "" {
			return e, "an empty rule id"
		}
		e.id = string(v)
		return e, ""
	case ast.Object:
		if v.Get(keyRule) == nil {
			return e, "a rule object without rule"
		}
		v.Foreach(func(k, val *ast.Term) {
			if key, ok := k.Value.(ast.String); ok && wrong == "" {
				wrong = e.set(string(key), val.Value)
			}
		})
		return e, wrong
	}
	return e, "an element that is neither a string nor an object"
}

var keyRule = ast.InternedTerm("rule")

// set takes one member; members that rules do not have are the author's own.
func (e *element) set(key string, v ast.Value) (wrong string) {
	s, isString := v.(ast.String)
	switch key {
	case "rule":
		if e.id = string(s); e.id == "" {
			return "a rule that is no string or empty"
		}
	case "name":
		if e.name = string(s); !isString {
			return "a name that is no string"
		}
	case "reason":
		if e.reason = string(s); !isString {
			return "a reason that is no string"
		}
	case "priority":
		n, ok := v.(ast.Number)
		if ok {
			e.priority, ok = integer(string(n))
		}
		if !ok {
			return "a priority that is no integer of 64 bits"
		}
	case "guardrail":
		b, ok := v.(ast.Boolean)
		if e.guardrail = bool(b); !ok {
			return "a guardrail that is no boolean"
		}
	}
	return ""
}

// row is the element as a row of the snapshot.
func (e *element) row(policy string, effect pdp.Effect) pdp.Rule {
	return pdp.Rule{Policy: policy, ID: e.id, Name: e.name, Reason: e.reason, Effect: effect, Priority: e.priority,
		Guardrail: e.guardrail, Sentence: pdp.Sentence(effect, e.id, e.name, e.reason)}
}
