package admin

import (
	"net/http"
	"strconv"

	"thymus/pdp/immune"
)

// maxMinutes bounds the window of a question about immune events: a year.
const maxMinutes = 366 * 24 * 60

// Protector says what self-protection does.
type Protector interface {
	Protection() Protection
}

// Protection is what GET /v1/immune/protection answers.
type Protection struct {
	Mode     string             `json:"mode"` // observe or protect
	Actions  []ProtectionAction `json:"actions"`
	BrownOut bool               `json:"brown_out"`
}

// ProtectionAction is one thing that self-protection has done and not undone. Times are Unix seconds.
type ProtectionAction struct {
	Action  string   `json:"action"` // quarantine, rollback, ...
	Subject string   `json:"subject"`
	Reason  string   `json:"reason"`
	Since   float64  `json:"since"`
	Until   *float64 `json:"until"` // null: until somebody undoes it
}

func (s *Server) mountImmune() {
	s.routes.add(http.MethodGet, "/v1/immune/events", s.listImmune)
	s.routes.add(http.MethodPost, "/v1/immune/events", s.publishImmune)
	s.routes.add(http.MethodGet, "/v1/immune/events/{id}", s.getImmune)
	s.routes.add(http.MethodPatch, "/v1/immune/events/{id}", s.patchImmune)
	s.routes.add(http.MethodGet, "/v1/immune/health", s.immuneHealth)
	s.routes.add(http.MethodGet, "/v1/immune/protection", s.protection)
}

func (s *Server) listImmune(w http.ResponseWriter, r *http.Request) {
	q := readQuery(r)
	minutes, limit, before := q.integer("minutes", 60, 1, maxMinutes), q.limit(), q.integer("next", 0, 1, 1<<62)
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	items, next := s.o.Immune.Recent(int(minutes), before, limit)
	from := ""
	if next != 0 {
		from = strconv.FormatInt(next, 10)
	}
	answer(w, http.StatusOK, paged(items, from))
}

func (s *Server) publishImmune(w http.ResponseWriter, r *http.Request) {
	o := readObject(r, typeJSON)
	rep := immune.Report{Severity: immune.Severity(o.required("severity")), Type: immune.Type(o.required("type")),
		Message: o.required("message"), AgentID: o.str("agent_id"), Module: o.str("module"), Meta: o.object("meta"), Correlation: requestID(r)}
	if o.problem != nil {
		FailWith(w, o.problem)
		return
	}
	e, err := s.o.Immune.Publish(rep)
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, http.StatusCreated, e)
}

// eventID is the id of the path; one that no event has where it is no number.
func eventID(r *http.Request) int64 {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

func (s *Server) getImmune(w http.ResponseWriter, r *http.Request) {
	e, err := s.o.Immune.Get(eventID(r))
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, http.StatusOK, e)
}

func (s *Server) patchImmune(w http.ResponseWriter, r *http.Request) {
	o := readObject(r, typeJSON, typePatch)
	severity := immune.Severity(o.required("severity"))
	if o.problem != nil {
		FailWith(w, o.problem)
		return
	}
	e, err := s.o.Immune.SetSeverity(eventID(r), severity, requestID(r))
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, http.StatusOK, e)
}

func (s *Server) immuneHealth(w http.ResponseWriter, r *http.Request) {
	q := readQuery(r)
	minutes := q.integer("minutes", 60, 1, maxMinutes)
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	answer(w, http.StatusOK, s.o.Immune.Health(int(minutes)))
}

func (s *Server) protection(w http.ResponseWriter, _ *http.Request) {
	p := Protection{Mode: "observe"}
	if s.o.Protection != nil {
		p = s.o.Protection.Protection()
	}
	if p.Actions == nil {
		p.Actions = []ProtectionAction{}
	}
	answer(w, http.StatusOK, p)
}
