package admin

import (
	"errors"
	"net/http"

	"thymus/pdp"
	"thymus/pdp/immune"
	"thymus/pdp/policy"
	"thymus/pdp/threat"
	"thymus/pdp/wire"
)

// failed answers with what an error of a room means to its caller.
func (s *Server) failed(w http.ResponseWriter, err error) {
	var policies policy.Problems
	var draft *policy.FieldError
	var readOnly *policy.ReadOnlyError
	var reported *threat.FieldError
	var published *immune.FieldError
	switch {
	case errors.As(err, &policies):
		unprocessable(w, policies)
	case errors.As(err, &draft):
		unprocessable(w, policy.Problems{{Policy: draft.Policy, Field: draft.Field, Detail: draft.Detail}})
	case errors.As(err, &reported):
		FailWith(w, fieldProblem(reported.Field, reported.Detail))
	case errors.As(err, &published):
		FailWith(w, fieldProblem(published.Field, published.Detail))
	case errors.Is(err, policy.ErrNotFound), errors.Is(err, policy.ErrNoRevision), errors.Is(err, threat.ErrNotFound),
		errors.Is(err, immune.ErrNotFound):
		Fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, policy.ErrExists), errors.As(err, &readOnly), errors.Is(err, policy.ErrDeletion),
		errors.Is(err, threat.ErrConflict), errors.Is(err, threat.ErrStale):
		Fail(w, http.StatusConflict, err.Error())
	case errors.Is(err, policy.ErrStale):
		Fail(w, http.StatusPreconditionFailed, err.Error())
	case errors.Is(err, policy.ErrTooLarge):
		Fail(w, http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, policy.ErrFull):
		Fail(w, http.StatusInsufficientStorage, err.Error())
	case errors.Is(err, pdp.ErrNoRoom), errors.Is(err, threat.ErrAway), errors.Is(err, policy.ErrClosed):
		w.Header().Set("Retry-After", "1")
		Fail(w, http.StatusServiceUnavailable, err.Error())
	default:
		s.o.Log.Warn("request failed", err)
		Fail(w, http.StatusInternalServerError, "the request could not be carried out; the log says why")
	}
}

// unprocessable answers 422 with everything that is wrong.
func unprocessable(w http.ResponseWriter, ps policy.Problems) {
	p := wire.StatusProblem(http.StatusUnprocessableEntity, ps[0].Detail)
	p.Field = ps[0].Field
	if len(ps) > 1 {
		p.Field, p.Detail = "", "the set of policies does not compile; errors lists what is wrong"
	}
	b := wire.AppendProblem(nil, p)
	if list, err := marshal(ps); err == nil {
		b = append(append(append(b[:len(b)-1], `,"errors":`...), list...), '}')
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(b) // the client may have gone
}
