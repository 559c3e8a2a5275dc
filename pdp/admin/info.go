package admin

import (
	"net/http"
	"time"
)

// Info is what GET /v1/info says.
type Info struct {
	Version        string            `json:"version"`
	Revision       string            `json:"revision,omitempty"` // of the source
	Instance       string            `json:"instance"`
	Started        time.Time         `json:"started"`
	Uptime         float64           `json:"uptime_seconds"`
	PolicyRevision string            `json:"policy_revision"`
	Policies       int               `json:"policies"`
	Rules          int               `json:"rules"`
	Engine         string            `json:"engine"`
	Listeners      map[string]string `json:"listeners"` // by plane, the addresses in use
	Sinks          []Sink            `json:"sinks"`
}

// Sink is where events go, and how that goes.
type Sink struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
}

func (s *Server) mountInfo() {
	s.routes.add(http.MethodGet, "/v1/info", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, s.o.Info())
	})
}
