package wire

import "thymus/pdp"

// AppendResult appends the native answer to one call (CONTRACT 4).
func AppendResult(dst []byte, d *pdp.Decision) []byte {
	if d.Allowed {
		dst = append(dst, `{"allowed":true,"effect":"`...)
	} else {
		dst = append(dst, `{"allowed":false,"effect":"`...)
	}
	dst = append(dst, d.Effect.String()...)
	dst = append(dst, '"')
	dst = appendMatched(dst, d)
	dst = append(dst, `,"reason":`...)
	dst = pdp.AppendString(dst, d.Reason)
	dst = appendObligations(dst, d)
	dst = append(dst, `,"policy_revision":`...)
	dst = pdp.AppendString(dst, d.Revision)
	return append(dst, '}')
}

func appendMatched(dst []byte, d *pdp.Decision) []byte {
	if !d.Matched {
		return append(dst, `,"matched_policy":null,"matched_rule":null`...)
	}
	dst = append(dst, `,"matched_policy":`...)
	dst = pdp.AppendString(dst, d.Policy)
	dst = append(dst, `,"matched_rule":`...)
	return pdp.AppendString(dst, d.Rule)
}

// appendObligations appends warnings, requires_audit and decision_id.
func appendObligations(dst []byte, d *pdp.Decision) []byte {
	dst = append(dst, `,"warnings":[`...)
	for i, w := range d.Warnings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = pdp.AppendString(dst, w)
	}
	if d.Audit {
		dst = append(dst, `],"requires_audit":true,"decision_id":"`...)
	} else {
		dst = append(dst, `],"requires_audit":false,"decision_id":"`...)
	}
	dst = d.AppendID(dst)
	return append(dst, '"')
}

// A native batch's answer is OpenResults, for each item AppendSeparator and AppendResult or AppendErrorItem, then
// CloseResults.

// OpenResults begins the answer to a native batch.
func OpenResults(dst []byte) []byte { return append(dst, `{"results":[`...) }

// CloseResults ends the answer to a native batch.
func CloseResults(dst []byte) []byte { return append(dst, `]}`...) }

// AppendSeparator appends what stands before the item at index i of a batch's answer.
func AppendSeparator(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

// AppendErrorItem appends what stands in the place of an invalid item of a native batch.
func AppendErrorItem(dst []byte, p *Problem) []byte {
	dst = append(dst, `{"error":`...)
	dst = AppendProblem(dst, p)
	return append(dst, '}')
}
