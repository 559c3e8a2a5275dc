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
	typeEvaluated    = "policy.evaluated"
	faultSentence    = "Evaluation error - denied: "
	deadlineSentence = "the deadline passed"
	pathSentence     = "the path is ambiguous" // then raw and canonical path differ
)

// ReadEvaluated makes a record of a line of the journal, as far as the detectors look at records; false for an event
// of another type. What events do not say is not there: that a path differs is known where the event holds the input,
// or the path was refused as ambiguous, and a dry run not at all. What r holds may share the line's memory. An error says that the line is no such event.
func ReadEvaluated(line []byte, r *pdp.Record) (bool, error) {
	var f fields
	c := cursor{b: line}
	switch {
	case c.evaluated(&f):
	case c.other:
		return false, nil
	default: // whatever is not written as the emitter writes it
		if is, err := f.parse(line); err != nil || !is {
			return false, err
		}
	}
	at, err := decimal(f.at, 1e9)
	if err != nil {
		return false, fmt.Errorf("evaluated_at: %w", err)
	}
	*r = pdp.Record{
		Time: at, Row: -1, Flags: f.flags, Revision: f.revision, SubjectType: f.typ, SubjectID: f.agent, Role: f.role, Action: f.action,
		Resource: f.resource, Policy: f.policy, Rule: f.rule, Reason: f.reason, Warnings: r.Warnings[:0],
	}
	r.Eval, _ = decimal(f.millis, 1e6) // what a mask took away is 0
	r.ID = parseUUID(f.id)
	for s := range pdp.Surface(pdp.Surfaces) {
		if s.String() == f.surface {
			r.Surface = s
		}
	}
	r.Effect, _ = pdp.ParseEffect(f.effect)
	if r.Policy == "immune" && r.Rule == "quarantine" {
		r.Flags |= pdp.FlagQuarantined
	}
	if cause, ok := strings.CutPrefix(r.Reason, faultSentence); ok && !r.Flags.Has(pdp.FlagMatched) && !r.Flags.Has(pdp.FlagAllowed) {
		r.Fault = pdp.FaultInternal
		switch cause {
		case deadlineSentence:
			r.Fault = pdp.FaultDeadline
		case pathSentence:
			r.Flags |= pdp.FlagPathDiffers
		}
	}
	return true, nil
}

// fields are what ReadEvaluated reads. Flags say which of them are there.
type fields struct {
	id, revision, surface, agent, typ, role, action, resource string
	effect, policy, rule, reason, millis, at                  string
	flags                                                     pdp.Flags
}

// parse reads any JSON of the contract's shape.
func (f *fields) parse(line []byte) (bool, error) {
	var e evaluated
	if err := json.Unmarshal(line, &e); err != nil {
		return false, fmt.Errorf("no event: %w", err)
	}
	p := &e.Payload
	*f = fields{
		id: p.DecisionID, revision: p.Revision, surface: p.Surface, agent: p.AgentID, typ: p.Type, action: p.Action,
		reason: p.Result.Reason, millis: p.Millis.String(), at: p.At.String(),
	}
	optional := func(to, s *string, flag pdp.Flags) {
		if s != nil {
			*to = *s
			f.flags |= flag
		}
	}
	optional(&f.role, p.Role, pdp.FlagRole)
	optional(&f.resource, p.Resource, pdp.FlagResource)
	optional(&f.effect, p.Result.Effect, 0)
	optional(&f.policy, p.Result.Policy, pdp.FlagMatched)
	optional(&f.rule, p.Result.Rule, pdp.FlagMatched)
	if p.Result.Allowed != nil && *p.Result.Allowed {
		f.flags |= pdp.FlagAllowed
	}
	if p.Input.Context.PathDiffers {
		f.flags |= pdp.FlagPathDiffers
	}
	return e.Type == typeEvaluated, nil
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
	n := 0
	for i := 0; i < len(s); i++ {
		var v byte
		switch c := s[i]; {
		case c == '-':
			continue
		case c >= '0' && c <= '9':
			v = c - '0'
		case c >= 'a' && c <= 'f':
			v = c - 'a' + 10
		default:
			return [16]byte{}
		}
		if n == 32 {
			return [16]byte{}
		}
		id[n/2] |= v << (4 * (1 - n%2))
		n++
	}
	if n < 32 {
		return [16]byte{}
	}
	return id
}
