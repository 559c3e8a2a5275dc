package admin

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"thymus/pdp"
	"thymus/pdp/immune"
)

// Quarantine is who is quarantined; *immune.Quarantine is one.
type Quarantine interface {
	List() []immune.Entry
	Put(s immune.Subject, reason, by string, ttl time.Duration, about ...pdp.Event) (immune.Entry, error)
	Release(s immune.Subject, about ...pdp.Event) (bool, error)
}

const (
	byOperator = "operator"           // immune.Entry.By of what is asked for here
	maxTTL     = 10 * 366 * 24 * 3600 // seconds
	maxReason  = 1024                 // bytes, as in a decision's record
)

func (s *Server) mountQuarantine() {
	const one = "/v1/immune/quarantine/{agent_id}"
	s.routes.add(http.MethodGet, "/v1/immune/quarantine", s.listQuarantine)
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

func (q *quarantined) key() string { return q.Type + "\x00" + q.AgentID }

func (s *Server) listQuarantine(w http.ResponseWriter, r *http.Request) {
	q := readQuery(r)
	limit, after := q.limit(), q.str("next")
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	var items []quarantined
	for _, e := range s.o.Quarantine.List() {
		items = append(items, entryOf(&e))
	}
	slices.SortFunc(items, func(a, b quarantined) int { return strings.Compare(a.key(), b.key()) })
	if after != "" {
		// next is TYPE/ID: a type holds no slash
		typ, id, _ := strings.Cut(after, "/")
		at := quarantined{Type: typ, AgentID: id}
		i, found := slices.BinarySearchFunc(items, at.key(), func(e quarantined, key string) int { return strings.Compare(e.key(), key) })
		if found {
			i++
		}
		items = items[i:]
	}
	next := ""
	if len(items) > limit {
		items = items[:limit]
		next = items[limit-1].Type + "/" + items[limit-1].AgentID
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
	if len(s.Type) > pdp.MaxName || strings.Contains(s.Type, "/") {
		q.fail("type", "expected up to 256 bytes without a slash")
	}
	if len(s.ID) > pdp.MaxName {
		q.fail("agent_id", "expected up to 256 bytes")
	}
	return s, q
}

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
	e, err := s.o.Quarantine.Put(who, reason, byOperator, time.Duration(ttl)*time.Second)
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
	was, err := s.o.Quarantine.Release(who)
	switch {
	case err != nil:
		s.failed(w, err)
	case !was:
		Fail(w, http.StatusNotFound, "the subject is not quarantined")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
