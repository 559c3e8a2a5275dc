package admin

import (
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"thymus/pdp/policy"
)

// Decisions are the engine's counts since the start, by effect.
type Decisions struct {
	Total, Allows, Denies, Warnings, Audits uint64
}

func (s *Server) mountPolicies() {
	const one = "/v1/policies/{id}"
	s.routes.add(http.MethodGet, "/v1/policies", s.listPolicies)
	s.routes.add(http.MethodPost, "/v1/policies", s.createPolicy)
	s.routes.add(http.MethodGet, "/v1/policies/stats", s.policiesStats)
	if s.o.PolicyStats != nil {
		s.routes.add(http.MethodGet, one+"/stats", s.policyStats)
	}
	s.routes.add(http.MethodGet, one, s.getPolicy)
	s.routes.add(http.MethodPut, one, s.putPolicy)
	s.routes.add(http.MethodPatch, one, s.patchPolicy)
	s.routes.add(http.MethodDelete, one, s.deletePolicy)
	s.routes.add(http.MethodGet, one+"/revisions", s.policyRevisions)
	s.routes.add(http.MethodGet, one+"/revisions/{revision}", s.policyRevision)
	s.routes.add(http.MethodPost, one+"/rollback", s.rollbackPolicy)
}

func actor(r *http.Request) policy.Actor {
	return policy.Actor{Name: callerOf(r).Name, Correlation: requestID(r)}
}

func (s *Server) listPolicies(w http.ResponseWriter, r *http.Request) {
	q := readQuery(r)
	limit, after := q.limit(), q.str("next")
	if !utf8.ValidString(after) {
		q.fail("next", badCursor)
	}
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	items, next := s.o.Policies.List(after, limit)
	out := make([]policyMeta, len(items))
	for i := range items {
		out[i] = metaOf(&items[i])
	}
	answer(w, http.StatusOK, paged(out, next))
}

func (s *Server) getPolicy(w http.ResponseWriter, r *http.Request) {
	p, err := s.o.Policies.Get(r.PathValue("id"))
	if err != nil {
		s.failed(w, err)
		return
	}
	c := readPrecondition(r)
	w.Header().Set("Vary", "Accept")
	tag := etag(&p)
	w.Header().Set("ETag", tag)
	if len(c.match) > 0 && !listsTag(c.match, tag, false) {
		Fail(w, http.StatusPreconditionFailed, "the policy's entity tag is "+tag)
		return
	}
	if listsTag(c.none, tag, true) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if p.Form == policy.Rego && len(p.Texts) == 1 && prefersText(r.Header.Values("Accept")) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(p.Texts[0].Text) // the client may have gone
		return
	}
	s.answerPolicy(w, http.StatusOK, &p)
}

func (s *Server) answerPolicy(w http.ResponseWriter, status int, p *policy.Policy) {
	b, err := s.document(p)
	if err != nil {
		s.failed(w, err)
		return
	}
	w.Header().Set("ETag", etag(p))
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client may have gone
}

func (s *Server) createPolicy(w http.ResponseWriter, r *http.Request) {
	d, problem := readDraft(r, "")
	if problem != nil {
		FailWith(w, problem)
		return
	}
	p, err := s.o.Policies.Create(actor(r), d.of(nil))
	if err != nil {
		s.failed(w, err)
		return
	}
	w.Header().Set("Location", "/v1/policies/"+url.PathEscape(p.ID))
	s.answerPolicy(w, http.StatusCreated, &p)
}

func (s *Server) putPolicy(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if detail := policy.CheckID(id); detail != "" {
		FailWith(w, fieldProblem("policy_id", detail))
		return
	}
	d, problem := readDraft(r, id)
	if problem != nil {
		FailWith(w, problem)
		return
	}
	c := readPrecondition(r)
	p, made, err := s.o.Policies.Edit(actor(r), id, c.condition(), func(cur *policy.Policy) (policy.Draft, error) { return d.of(cur), nil }, true)
	if err != nil {
		c.failed(s, w, err)
		return
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
		w.Header().Set("Location", "/v1/policies/"+url.PathEscape(id))
	}
	s.answerPolicy(w, status, &p)
}

func (s *Server) deletePolicy(w http.ResponseWriter, r *http.Request) {
	c := readPrecondition(r)
	if err := s.o.Policies.Delete(actor(r), r.PathValue("id"), c.condition()); err != nil {
		c.failed(s, w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) policyRevisions(w http.ResponseWriter, r *http.Request) {
	q := readQuery(r)
	limit, before := q.limit(), q.integer("next", 0, 1, 1<<62)
	if q.problem != nil {
		FailWith(w, q.problem)
		return
	}
	items, next, err := s.o.Policies.Revisions(r.PathValue("id"), uint64(before), limit)
	if err != nil {
		s.failed(w, err)
		return
	}
	from := ""
	if next != 0 {
		from = strconv.FormatUint(next, 10)
	}
	answer(w, http.StatusOK, paged(items, from))
}

func (s *Server) policyRevision(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseUint(r.PathValue("revision"), 10, 62)
	if err != nil || n == 0 {
		s.failed(w, policy.ErrNoRevision)
		return
	}
	rev, err := s.o.Policies.Revision(r.PathValue("id"), n)
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, http.StatusOK, withText(rev))
}

func (s *Server) rollbackPolicy(w http.ResponseWriter, r *http.Request) {
	o := readObject(r, typeJSON)
	if o.problem == nil {
		if _, ok := o.members["revision"]; !ok {
			o.fail("revision", "a required member is missing")
		}
	}
	n := o.integer("revision", 1, 1<<62)
	if o.problem != nil {
		FailWith(w, o.problem)
		return
	}
	c := readPrecondition(r)
	p, err := s.o.Policies.Rollback(actor(r), r.PathValue("id"), uint64(n), c.condition())
	if err != nil {
		c.failed(s, w, err)
		return
	}
	s.answerPolicy(w, http.StatusOK, &p)
}

func (s *Server) policiesStats(w http.ResponseWriter, _ *http.Request) {
	var out struct {
		Policies    int    `json:"total_policies"`
		Active      int    `json:"active_policies"`
		Rules       int    `json:"total_rules"`
		Evaluations uint64 `json:"total_evaluations"`
		Allows      uint64 `json:"total_allows"`
		Denies      uint64 `json:"total_denies"`
		Warnings    uint64 `json:"total_warnings"`
		Audits      uint64 `json:"total_audits"`
	}
	for _, p := range s.o.Policies.Active().Policies {
		out.Policies++
		if p.Enabled {
			out.Active++
			out.Rules += p.Rules
		}
	}
	if s.o.Decisions != nil {
		d := s.o.Decisions()
		out.Evaluations, out.Allows, out.Denies, out.Warnings, out.Audits = d.Total, d.Allows, d.Denies, d.Warnings, d.Audits
	}
	answer(w, http.StatusOK, out)
}

func (s *Server) policyStats(w http.ResponseWriter, r *http.Request) {
	st, ok := s.o.PolicyStats.Of(r.PathValue("id"))
	if !ok {
		s.failed(w, policy.ErrNotFound)
		return
	}
	answer(w, http.StatusOK, st)
}
