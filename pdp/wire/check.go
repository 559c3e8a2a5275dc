package wire

import (
	"net/http"
	"strconv"

	"thymus/pdp"
)

// single is the index of a call that is no item of a batch.
const single = -1

// fault is the problem of a member, named by its path within the call.
func (d *Decoder) fault(field, detail string) *Problem {
	if d.index >= 0 {
		item := "evaluations." + strconv.Itoa(d.index)
		if field != "" {
			item += "."
		}
		field = item + field
	}
	d.problem = Problem{Kind: KindField, Status: http.StatusBadRequest, Detail: detail, Field: field, Offset: -1}
	return &d.problem
}

func (d *Decoder) missing(field string) *Problem {
	return d.fault(field, "a required member is missing")
}

// name checks a required string: not empty, and at most MaxName bytes.
func (d *Decoder) name(n *pdp.Node, field string) *Problem {
	if n.Kind == pdp.String && n.Val.Len == 0 {
		return d.fault(field, "expected a string that is not empty")
	}
	return d.string(n, field, pdp.MaxName)
}

func (d *Decoder) string(n *pdp.Node, field string, most uint32) *Problem {
	if n.Kind != pdp.String {
		return d.fault(field, "expected a string, got "+kindName(n.Kind))
	}
	if n.Val.Len > most {
		return d.fault(field, "expected at most "+strconv.FormatUint(uint64(most), 10)+" bytes, got "+
			strconv.FormatUint(uint64(n.Val.Len), 10))
	}
	return nil
}

func (d *Decoder) isObject(n *pdp.Node, field string) *Problem {
	if n.Kind != pdp.Object {
		return d.fault(field, "expected an object, got "+kindName(n.Kind))
	}
	return nil
}

// kindName is a kind as callers know it.
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
