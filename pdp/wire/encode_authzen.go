package wire

import (
	"strconv"

	"thymus/pdp"
)

// AppendDecision appends AuthZEN's answer to one evaluation: the decision and, with context, our extra facts.
func AppendDecision(dst []byte, d *pdp.Decision, context bool) []byte {
	if d.Allowed {
		dst = append(dst, `{"decision":true`...)
	} else {
		dst = append(dst, `{"decision":false`...)
	}
	if context {
		dst = append(dst, `,"context":{"effect":"`...)
		dst = append(dst, d.Effect.String()...)
		dst = append(dst, `","reason":`...)
		dst = pdp.AppendString(dst, d.Reason)
		dst = appendMatched(dst, d)
		dst = appendObligations(dst, d)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// OpenDecisions begins the answer to an AuthZEN batch; its items are parted by AppendSeparator.
func OpenDecisions(dst []byte) []byte { return append(dst, `{"evaluations":[`...) }

// CloseDecisions ends the answer to an AuthZEN batch.
func CloseDecisions(dst []byte) []byte { return append(dst, `]}`...) }

// AppendDecisionError appends what stands in the place of an invalid item of an AuthZEN batch: a denial whose context
// carries the error, as the specification's section on errors of evaluations has it.
func AppendDecisionError(dst []byte, p *Problem) []byte {
	dst = append(dst, `{"decision":false,"context":{"error":{"status":`...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	dst = append(dst, `,"message":`...)
	dst = pdp.AppendString(dst, p.Detail)
	if p.Field != "" {
		dst = append(dst, `,"field":`...)
		dst = pdp.AppendString(dst, p.Field)
	}
	return append(dst, `}}}`...)
}

// AppendMetadata appends the document of /.well-known/authzen-configuration. base is the public URL without a slash at
// its end, and is what the metadata's reader compares with the URL he asked.
func AppendMetadata(dst []byte, base string) []byte {
	dst = append(dst, `{"policy_decision_point":`...)
	dst = pdp.AppendString(dst, base)
	dst = append(dst, `,"access_evaluation_endpoint":`...)
	dst = pdp.AppendString(dst, base+"/access/v1/evaluation")
	dst = append(dst, `,"access_evaluations_endpoint":`...)
	dst = pdp.AppendString(dst, base+"/access/v1/evaluations")
	return append(dst, '}')
}
