package admin

import (
	_ "embed"
	"net/http"
)

// openapi describes this plane in OpenAPI 3.1. A test drives every operation of it.
//
//go:embed openapi.json
var openapi []byte

func (s *Server) mountOpenAPI() {
	s.routes.add(http.MethodGet, "/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeJSON)
		_, _ = w.Write(openapi) // the client may have gone
	})
}
