package detect

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"thymus/pdp"
)

// evaluated is what a policy.evaluated event (CONTRACT 6) says of its decision.
type evaluated struct {
	Type    string `json:"type"`
	Payload struct {
		DecisionID string  `json:"decision_id"`
		Revision   string  `json:"policy_revision"`
		Surface    string  `json:"surface"`
		AgentID    string  `json:"agent_id"`
		Type       string  `json:"subject_type"`
		Role       *string `json:"agent_role"`
		Action     string  `json:"action"`
		Resource   *string `json:"resource"`
		Result     struct {
			Allowed *bool   `json:"allowed"`
			Effect  *string `json:"effect"`
			Policy  *string `json:"matched_policy"`
			Rule    *string `json:"matched_rule"`
			Reason  string  `json:"reason"`
		} `json:"result"`
		Millis json.Number `json:"evaluation_time_ms"`
		At     json.Number `json:"evaluated_at"`
		Input  struct {
			Context struct {
				PathDiffers bool `json:"path_differs"`
			} `json:"context"`
		} `json:"input"`
	} `json:"payload"`
}

// Sentences that say in an event what a record says in a field.
const (
	faultSentence    = "Evaluation error - denied: "
	deadlineSentence = "the deadline passed"
)

// ReadEvaluated makes a record of a line of the journal, as far as the detectors look at records; false for an event
// of another type. What events do not say is not there: that a path differs is known only where the event holds the
// input, and a dry run not at all. An error says that the line is no such event.
func ReadEvaluated(line []byte, r *pdp.Record) (bool, error) {
	var e evaluated
	// The type stands near the front of every line that the emitter writes; others are read in full.
	head := line[:min(len(line), 256)]
	if i := strings.Index(lend(head), `"type":"`); i >= 0 && !strings.HasPrefix(lend(head[i+8:]), "policy.evaluated\"") &&
		strings.HasPrefix(lend(head), `{"id":`) {
		return false, nil
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return false, fmt.Errorf("no event: %w", err)
	}
	if e.Type != "policy.evaluated" {
		return false, nil
	}
	p := &e.Payload
	at, err := decimal(p.At.String(), 1e9)
	if err != nil {
		return false, fmt.Errorf("evaluated_at: %w", err)
	}
	*r = pdp.Record{
		Time: at, Row: -1, Revision: p.Revision, SubjectType: p.Type, SubjectID: p.AgentID, Action: p.Action,
		Reason: p.Result.Reason, Warnings: r.Warnings[:0],
	}
	r.Eval, _ = decimal(p.Millis.String(), 1e6) // what a mask took away is 0
	r.ID = parseUUID(p.DecisionID)
	for s := range pdp.Surface(pdp.Surfaces) {
		if s.String() == p.Surface {
			r.Surface = s
		}
	}
	r.Role = optional(r, p.Role, pdp.FlagRole)
	r.Resource = optional(r, p.Resource, pdp.FlagResource)
	r.Policy = optional(r, p.Result.Policy, pdp.FlagMatched)
	r.Rule = optional(r, p.Result.Rule, pdp.FlagMatched)
	if p.Result.Effect != nil {
		r.Effect, _ = pdp.ParseEffect(*p.Result.Effect)
	}
	if p.Result.Allowed != nil && *p.Result.Allowed {
		r.Flags |= pdp.FlagAllowed
	}
	if p.Input.Context.PathDiffers {
		r.Flags |= pdp.FlagPathDiffers
	}
	if r.Policy == "immune" && r.Rule == "quarantine" {
		r.Flags |= pdp.FlagQuarantined
	}
	if cause, ok := strings.CutPrefix(r.Reason, faultSentence); ok && !r.Flags.Has(pdp.FlagMatched) && !r.Flags.Has(pdp.FlagAllowed) {
		r.Fault = pdp.FaultInternal
		if cause == deadlineSentence {
			r.Fault = pdp.FaultDeadline
		}
	}
	return true, nil
}

func optional(r *pdp.Record, s *string, f pdp.Flags) string {
	if s == nil {
		return ""
	}
	r.Flags |= f
	return *s
}

// decimal reads a number in units, exactly where it has no more decimals than units have zeros.
func decimal(s string, unit int64) (int64, error) {
	whole, part, _ := strings.Cut(s, ".")
	if strings.ContainsAny(s, "eE-") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.Abs(f) > 1<<33 {
			return 0, fmt.Errorf("got %q, expected a number of seconds", s)
		}
		return int64(f * float64(unit)), nil
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > 1<<33 {
		return 0, fmt.Errorf("got %q, expected a number of seconds", s)
	}
	n *= unit
	for i := 0; i < len(part) && unit > 1; i++ {
		unit /= 10
		n += int64(part[i]-'0') * unit
	}
	return n, nil
}

// parseUUID reads the canonical form; what is none is zero.
func parseUUID(s string) (id [16]byte) {
	s = strings.ReplaceAll(s, "-", "")
	for i := range id {
		if len(s) < 2*i+2 {
			return [16]byte{}
		}
		b, err := strconv.ParseUint(s[2*i:2*i+2], 16, 8)
		if err != nil {
			return [16]byte{}
		}
		id[i] = byte(b)
	}
	return id
}
