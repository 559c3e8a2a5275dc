package emitter

import "thymus/pdp"

// appendCommon appends what a decision's events share ({d} of CONTRACT 6), without a closing brace.
func appendCommon(dst []byte, v *view) []byte {
	dst = append(dst, `{"decision_id":"`...)
	dst = pdp.AppendUUID(dst, v.ID)
	dst = append(dst, `","policy_revision":`...)
	if v.rows != nil {
		dst = append(dst, v.rows.revision...)
	} else {
		dst = pdp.AppendString(dst, v.Revision)
	}
	dst = append(dst, `,"surface":"`...)
	dst = append(dst, v.Surface.String()...)
	dst = append(dst, `","agent_id":`...)
	dst = pdp.AppendString(dst, v.SubjectID)
	dst = append(dst, `,"subject_type":`...)
	dst = pdp.AppendString(dst, v.SubjectType)
	if v.Flags.Has(pdp.FlagRole) {
		dst = append(dst, `,"agent_role":`...)
		dst = pdp.AppendString(dst, v.Role)
	}
	dst = append(dst, `,"action":`...)
	dst = pdp.AppendString(dst, v.Action)
	if v.cut != 0 {
		dst = appendTruncated(dst, v.cut)
	}
	return dst
}

func appendTruncated(dst []byte, cut pdp.Field) []byte {
	dst = append(dst, `,"truncated":[`...)
	first := true
	for i := range truncatedNames {
		if cut&(1<<i) == 0 || truncatedNames[i] == "" {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, truncatedNames[i]...)
		first = false
	}
	return append(dst, ']')
}

// appendEvaluated appends the payload of policy.evaluated; common is what appendCommon wrote.
func appendEvaluated(dst []byte, v *view, at *stamp, common []byte, input bool) []byte {
	dst = append(dst, common...)
	if v.Flags.Has(pdp.FlagResource) {
		dst = append(dst, `,"resource":`...)
		dst = pdp.AppendString(dst, v.Resource)
	} else {
		dst = append(dst, `,"resource":null`...)
	}
	if v.Effect == pdp.None {
		dst = append(dst, `,"result":{"allowed":null,"effect":null`...)
	} else {
		if v.denied {
			dst = append(dst, `,"result":{"allowed":false,"effect":"`...)
		} else {
			dst = append(dst, `,"result":{"allowed":true,"effect":"`...)
		}
		dst = append(dst, v.Effect.String()...)
		dst = append(dst, '"')
	}
	dst = appendMatched(dst, v)
	dst = appendReason(dst, v)
	dst = append(dst, `},"evaluation_time_ms":`...)
	dst = appendMillis(dst, max(v.Eval, 0))
	if input {
		dst = append(dst, `,"input":`...)
		dst = append(dst, v.Input...)
	}
	dst = append(dst, `,"evaluated_at":`...)
	return append(at.seconds(dst), '}')
}

func appendMatched(dst []byte, v *view) []byte {
	switch {
	case v.row != nil:
		dst = append(dst, `,"matched_policy":`...)
		dst = append(dst, v.row.policy...)
		dst = append(dst, `,"matched_rule":`...)
		return append(dst, v.row.rule...)
	case v.Flags.Has(pdp.FlagMatched) && v.Row < 0:
		dst = append(dst, `,"matched_policy":`...)
		dst = pdp.AppendString(dst, v.Policy)
		dst = append(dst, `,"matched_rule":`...)
		return pdp.AppendString(dst, v.Rule)
	}
	return append(dst, `,"matched_policy":null,"matched_rule":null`...)
}

func appendReason(dst []byte, v *view) []byte {
	dst = append(dst, `,"reason":`...)
	switch {
	case v.row != nil:
		return append(dst, v.row.sentence...)
	case v.Row >= 0:
		return append(dst, `"the rule that decided is no longer on record"`...)
	}
	return pdp.AppendString(dst, v.Reason)
}

// appendWarnings appends the messages, those of rows looked up, maxWarnings bytes of text at most.
func appendWarnings(dst []byte, v *view) []byte {
	dst = append(dst, `,"warnings":[`...)
	left := maxWarnings
	for i := range v.Warnings {
		text := v.Warnings[i].Text
		if x := v.rows.at(v.Warnings[i].Row); x != nil {
			text = x.reason
		}
		text = clip(text, left)
		left -= len(text)
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = pdp.AppendString(dst, text)
	}
	return append(dst, ']')
}
