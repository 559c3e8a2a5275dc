package engine

import "thymus/pdp"

// What a denial by quarantine names as its policy and rule (CONTRACT 5).
const (
	quarantinePolicy = "immune"
	quarantineRule   = "quarantine"
)

func (c *Call) quarantined() (string, bool) {
	q := c.e.o.Quarantine
	if q == nil || c.Req.SubjectID == "" {
		return "", false
	}
	return q.Quarantined(c.Req.SubjectType, c.Req.SubjectID)
}

func deny(d *pdp.Decision, s *pdp.Snapshot, reason string) {
	d.Effect, d.Matched, d.Quarantined = pdp.Deny, true, true
	d.Policy, d.Rule, d.Revision = quarantinePolicy, quarantineRule, s.Revision
	d.Reason = quarantineReason(reason)
}

func quarantineReason(reason string) string {
	if reason == "" {
		return "Denied by rule 'quarantine'"
	}
	return reason
}
