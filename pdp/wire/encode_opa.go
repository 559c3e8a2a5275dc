package wire

import "thymus/pdp"

// The codes and messages of OPA's REST API that we answer with
// (https://www.openpolicyagent.org/docs/rest-api, v1/server/types).
const (
	CodeInternal         = "internal_error"
	CodeUnauthorized     = "unauthorized"
	CodeInvalidParameter = "invalid_parameter"
	CodeNotFound         = "resource_not_found"

	MsgEvaluation   = "error(s) occurred while evaluating query"
	MsgUnauthorized = "request rejected by administrative policy"
	MsgTooLarge     = "request body too large"
)

// AppendData appends the Data API's answer: the value if it is defined, and the decision's id. noInput adds OPA's
// warning to a POST whose body has no input; pretty indents by two spaces. A line feed ends it, as OPA's does.
func AppendData(dst []byte, r *pdp.Result, id [16]byte, noInput, pretty bool) []byte {
	start := len(dst)
	dst = append(dst, '{')
	if r.Defined && len(r.Out.Nodes) > 0 {
		dst = append(dst, `"result":`...)
		dst = r.Out.AppendJSON(dst, 0)
		dst = append(dst, ',')
	}
	dst = append(dst, `"decision_id":"`...)
	dst = pdp.AppendUUID(dst, id)
	dst = append(dst, '"')
	if noInput {
		dst = append(dst, `,"warning":{"code":"api_usage_warning","message":"'input' key missing from the request"}`...)
	}
	dst = append(dst, '}')
	if pretty {
		dst = indent(dst, start)
	}
	return append(dst, '\n')
}

// AppendDataError appends an error in OPA's shape, indented as OPA's always are.
func AppendDataError(dst []byte, code, message string) []byte {
	start := len(dst)
	dst = appendCode(append(dst, '{'), code, message)
	return append(indent(append(dst, '}'), start), '\n')
}

// AppendDataFault appends the error of an evaluation in OPA's shape; its status is 500.
func AppendDataFault(dst []byte, code pdp.FaultCode, message string) []byte {
	start := len(dst)
	dst = appendCode(append(dst, '{'), CodeInternal, MsgEvaluation)
	dst = appendCode(append(dst, `,"errors":[{`...), faultCode(code), message)
	return append(indent(append(dst, `}]}`...), start), '\n')
}

func appendCode(dst []byte, code, message string) []byte {
	dst = append(dst, `"code":`...)
	dst = pdp.AppendString(dst, code)
	dst = append(dst, `,"message":`...)
	return pdp.AppendString(dst, message)
}

// faultCode is topdown's name for a kind of evaluation error.
func faultCode(c pdp.FaultCode) string {
	switch c {
	case pdp.FaultBuiltin:
		return "eval_builtin_error"
	case pdp.FaultConflict:
		return "eval_conflict_error"
	case pdp.FaultDeadline:
		return "eval_cancel_error"
	}
	return "eval_internal_error"
}

// indent lays out the compact JSON behind start as json.MarshalIndent does with two spaces: the rest of dst stays.
func indent(dst []byte, start int) []byte {
	src := dst[start:]
	end := len(dst)
	depth := 0
	line := func() {
		dst = append(dst, '\n')
		for range depth {
			dst = append(dst, ' ', ' ')
		}
	}
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch c {
		case '"':
			j := i + 1
			for ; src[j] != '"'; j++ {
				if src[j] == '\\' {
					j++
				}
			}
			dst = append(dst, src[i:j+1]...)
			i = j
		case '{', '[':
			dst = append(dst, c)
			if n := src[i+1]; n == '}' || n == ']' {
				dst = append(dst, n)
				i++
				break
			}
			depth++
			line()
		case '}', ']':
			depth--
			line()
			dst = append(dst, c)
		case ',':
			dst = append(dst, c)
			line()
		case ':':
			dst = append(dst, c, ' ')
		default:
			dst = append(dst, c)
		}
	}
	n := copy(dst[start:], dst[end:])
	return dst[:start+n]
}
