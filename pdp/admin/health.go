package admin

import "net/http"

// mountHealth adds what asks for no token: health and metrics.
func (s *Server) mountHealth() {
	for _, p := range [...]string{"/healthz", "/health"} {
		s.routes.addOpen(http.MethodGet, p, s.live)
	}
	s.routes.addOpen(http.MethodGet, "/readyz", s.ready)
	s.routes.addOpen(http.MethodGet, "/metrics", s.o.Metrics.ServeHTTP)
}

func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.o.Health.AppendLive(nil)) // the client may have gone
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	b, ok := s.o.Health.AppendReady(nil)
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(b) // the client may have gone
}
