package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"thymus/pdp"
	"thymus/pdp/immune"
)

// Quarantine is who is quarantined; *immune.Quarantine is one.
type Quarantine interface {
	List() []immune.Entry
	Get(s immune.Subject) (immune.Entry, bool)
	Order(s immune.Subject, reason string, ttl time.Duration, log *immune.Log, told func(*immune.Entry) immune.Report) (immune.Entry, error)
	Lift(s immune.Subject, log *immune.Log, rep immune.Report) (bool, error)
}

const (
	maxTTL    = 10 * 366 * 24 * 3600 // seconds
	maxReason = 1024                 // bytes, as in a decision's record
)

func (s *Server) mountQuarantine() {
	const one = "/v1/immune/quarantine/{agent_id}"
	s.routes.add(http.MethodGet, "/v1/immune/quarantine", s.listQuarantine)
	s.routes.add(http.MethodGet, one, s.getQuarantine)
	s.routes.add(http.MethodPut, one, s.quarantine)
	s.routes.add(http.MethodDelete, one, s.release)
}

// quarantined is one subject as it is answered. Times are Unix seconds.
type quarantined struct {
	Type    string   `json:"type"`
	AgentID string   `json:"agent_id"`
	Reason  string   `json:"reason"`
	Since   float64  `json:"since"`
	Until   *float64 `json:"until,omitempty"`
	By      string   `json:"by"`
}

func entryOf(e *immune.Entry) quarantined {
	return quarantined{e.Type, e.AgentID, e.Reason, e.Since, e.Until, e.By}
}

// before orders by type and id.
func (q *quarantined) before(typ, id string) int {
	return cmp.Or(strings.Compare(q.Type, typ), strings.Compare(q.AgentID, id))
}

// cursor stands for a subject in ?next=: the length of its type, and both, because either may hold any character.
func (q *quarantined) cursor() string { return strconv.Itoa(len(q.Type)) + ":" + q.Type + q.AgentID }

func readCursor(s string) (typ, id string, ok bool) {
	digits, rest, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil || int(n) > len(rest) || !utf8.ValidString(rest) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

func (s *Server) listQuarantine(w http.ResponseWriter, r *http.Request) {
	q := readQuery(r)
	limit, after := q.limit(), q.str("next")
	typ, id, ok := readCursor(after)
	if after != "" && !ok {
		q.fail("next", badCursor)
	}
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	var items []quarantined
	for _, e := range s.o.Quarantine.List() {
		items = append(items, entryOf(&e))
	}
	slices.SortFunc(items, func(a, b quarantined) int { return a.before(b.Type, b.AgentID) })
	if after != "" {
		i, found := slices.BinarySearchFunc(items, id, func(e quarantined, id string) int { return e.before(typ, id) })
		if found {
			i++
		}
		items = items[i:]
	}
	next := ""
	if len(items) > limit {
		items = items[:limit]
		next = items[limit-1].cursor()
	}
	answer(w, http.StatusOK, paged(items, next))
}

// subject reads who a request is about.
func subject(r *http.Request) (immune.Subject, *query) {
	q := readQuery(r)
	s := immune.Subject{Type: "agent", ID: r.PathValue("agent_id")}
	if q.values["type"] != nil {
		s.Type = q.str("type")
	}
	// No operator names one, but a caller may have, and self-protection quarantined it: it can be looked at and released.
	nul := r.Method == http.MethodPut && strings.Contains(s.Type, "\x00")
	if len(s.Type) > pdp.MaxName || !utf8.ValidString(s.Type) || nul {
		q.fail("type", "expected up to 256 bytes of UTF-8 without a NUL")
	}
	if len(s.ID) > pdp.MaxName || !utf8.ValidString(s.ID) {
		q.fail("agent_id", "expected up to 256 bytes of UTF-8")
	}
	return s, q
}

// getQuarantine answers whether one subject is quarantined.
func (s *Server) getQuarantine(w http.ResponseWriter, r *http.Request) {
	who, q := subject(r)
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	e, ok := s.o.Quarantine.Get(who)
	if !ok {
		Fail(w, http.StatusNotFound, notQuarantined)
		return
	}
	answer(w, http.StatusOK, entryOf(&e))
}

// ordered is the immune event that tells of what an operator did to a subject: e is its entry, and nil where it was
// released. It says when the act ends and how to undo it, as self-protection does. The subject's id and type are in the
// fields for them alone, where masks find them.
func ordered(r *http.Request, who immune.Subject, action string, e *immune.Entry, ttl int64) immune.Report {
	by, undo := callerOf(r).Name, http.MethodPut
	meta := pdp.AppendString([]byte(`{"action":`), action)
	meta = pdp.AppendString(append(meta, `,"by":`...), by)
	meta = pdp.AppendString(append(meta, `,"subject_type":`...), who.Type)
	message := action + " by an operator (token " + by + ")"
	if e != nil {
		undo = http.MethodDelete
		if e.Reason != "" {
			meta = pdp.AppendString(append(meta, `,"reason":`...), e.Reason)
		}
		if e.Until != nil {
			meta = strconv.AppendInt(append(meta, `,"ttl_seconds":`...), ttl, 10)
			meta = strconv.AppendFloat(append(meta, `,"until":`...), *e.Until, 'f', 6, 64)
			message += " until " + time.Unix(int64(*e.Until), 0).UTC().Format(time.RFC3339)
		} else {
			message += " until it is released"
		}
	}
	undo += " /v1/immune/quarantine/{agent_id}?type={subject_type}"
	meta = pdp.AppendString(append(meta, `,"undo":`...), undo)
	return immune.Report{Severity: immune.Info, Type: immune.SelfHealingAction, AgentID: who.ID, Module: "management",
		Message: message + "; undo with " + undo, Meta: append(meta, '}'), Correlation: requestID(r)}
}

const notQuarantined = "the subject is not quarantined"

func (s *Server) quarantine(w http.ResponseWriter, r *http.Request) {
	who, q := subject(r)
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	o := &object{}
	if hasBody(r) {
		o = readObject(r, typeJSON)
	}
	reason := o.str("reason")
	if len(reason) > maxReason {
		o.fail("reason", "expected up to 1024 bytes")
	}
	ttl := o.integer("ttl_seconds", 1, maxTTL)
	if o.problem != nil {
		FailWith(w, o.problem)
		return
	}
	e, err := s.o.Quarantine.Order(who, reason, time.Duration(ttl)*time.Second, s.o.Immune,
		func(e *immune.Entry) immune.Report { return ordered(r, who, immune.ActQuarantine, e, ttl) })
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, http.StatusOK, entryOf(&e))
}

func (s *Server) release(w http.ResponseWriter, r *http.Request) {
	who, q := subject(r)
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	was, err := s.o.Quarantine.Lift(who, s.o.Immune, ordered(r, who, immune.ActRelease, nil, 0))
	switch {
	case err != nil:
		s.failed(w, err)
	case !was:
		Fail(w, http.StatusNotFound, notQuarantined)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
