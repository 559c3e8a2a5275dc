package admin

import (
	"net/http"

	"thymus/pdp/threat"
)

func (s *Server) mountThreats() {
	s.routes.add(http.MethodGet, "/v1/threats", s.listThreats)
	s.routes.add(http.MethodPost, "/v1/threats", s.createThreat)
	s.routes.add(http.MethodGet, "/v1/threats/stats", s.threatStats)
	s.routes.add(http.MethodGet, "/v1/threats/{id}", s.getThreat)
	s.routes.add(http.MethodPatch, "/v1/threats/{id}", s.patchThreat)
}

func (s *Server) listThreats(w http.ResponseWriter, r *http.Request) {
	q := readQuery(r)
	f := threat.Filter{Statuses: list(q, "status", threat.Statuses()), Severities: list(q, "severity", threat.Severities())}
	limit, after := q.limit(), q.str("next")
	if after != "" && !isUUID(after) {
		q.fail("next", badCursor)
	}
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	items, next, err := s.o.Threats.List(r.Context(), f, after, limit)
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, http.StatusOK, paged(items, next))
}

func (s *Server) createThreat(w http.ResponseWriter, r *http.Request) {
	o := readObject(r, typeJSON)
	rep := threat.Report{Type: o.required("type"), Source: o.required("source"), Severity: threat.Severity(o.required("severity")),
		Description: o.str("description"), Metadata: o.object("metadata"), Correlation: requestID(r)}
	if o.problem != nil {
		FailWith(w, o.problem)
		return
	}
	t, err := s.o.Threats.Create(r.Context(), rep)
	if err != nil {
		s.failed(w, err)
		return
	}
	w.Header().Set("Location", "/v1/threats/"+t.ID)
	answer(w, http.StatusCreated, t)
}

func (s *Server) threatStats(w http.ResponseWriter, r *http.Request) {
	st, err := s.o.Threats.Stats(r.Context())
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, http.StatusOK, st)
}

func (s *Server) getThreat(w http.ResponseWriter, r *http.Request) {
	t, err := s.o.Threats.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, http.StatusOK, t)
}

func (s *Server) patchThreat(w http.ResponseWriter, r *http.Request) {
	o := readObject(r, typeJSON, typePatch)
	c := threat.Change{Status: named[threat.Status](o, "status"), Severity: named[threat.Severity](o, "severity"),
		Reason: o.opt("reason"), Resolution: o.opt("resolution"), Correlation: requestID(r)}
	if o.problem != nil {
		FailWith(w, o.problem)
		return
	}
	t, err := s.o.Threats.Change(r.Context(), r.PathValue("id"), c)
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, http.StatusOK, t)
}

// isUUID says whether s has the form of a threat's id.
func isUUID(s string) bool {
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if c := s[i]; dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 36
}

// named is an optional string under a type of its own.
func named[T ~string](o *object, field string) *T {
	s := o.opt(field)
	if s == nil {
		return nil
	}
	v := T(*s)
	return &v
}
