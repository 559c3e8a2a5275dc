package admin

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"
)

// mostSeconds bounds how long a processor profile may run.
const mostSeconds = 120

// mountPprof adds profiles in the format of runtime/pprof, at the paths at which its tools look for them. net/http/pprof
// would put them on the process's default mux, and the command line and symbols besides.
func (s *Server) mountPprof() {
	s.routes.addOpen(http.MethodGet, "/debug/pprof/profile", s.profile)
	s.routes.addOpen(http.MethodGet, "/debug/pprof/{name}", s.lookup)
}

// profile answers with what the processor did for ?seconds=, 30 by default. One runs at a time: 409 for a second.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	n := 30
	if v := r.URL.Query().Get("seconds"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 1 || n > mostSeconds {
			Fail(w, http.StatusBadRequest, fmt.Sprintf("seconds: expected a number from 1 to %d", mostSeconds))
			return
		}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // else the request's own would end it
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.StartCPUProfile(w); err != nil {
		Fail(w, http.StatusConflict, "a profile is being taken")
		return
	}
	t := time.NewTimer(time.Duration(n) * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
	pprof.StopCPUProfile()
}

// lookup answers with one of the runtime's profiles: heap, allocs, goroutine, threadcreate, block, mutex. ?debug=1 is
// text, ?gc=1 collects first.
func (s *Server) lookup(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		Fail(w, http.StatusNotFound, "there is no such profile")
		return
	}
	q := r.URL.Query()
	if q.Get("gc") != "" {
		runtime.GC()
	}
	debug, _ := strconv.Atoi(q.Get("debug"))
	w.Header().Set("Content-Type", "application/octet-stream")
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	_ = p.WriteTo(w, debug) // the client may have gone
}
