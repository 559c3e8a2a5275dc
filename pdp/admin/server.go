package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"thymus/internal/health"
	"thymus/pdp/immune"
	"thymus/pdp/policy"
	"thymus/pdp/threat"
)

// Limits of a listener.
const (
	maxHeader   = 16 << 10
	readTimeout = 30 * time.Second
	idleTimeout = 120 * time.Second
)

// Log is told what an operator has to know.
type Log interface {
	Warn(what string, err error)
}

// Options of a Server. Health, Metrics and Log are required.
type Options struct {
	Health  *health.Health
	Metrics http.Handler
	Log     Log

	// Diagnostics serves health and metrics alone; nothing below counts then.
	Diagnostics bool
	Pprof       bool    // and profiles, without a token: only for a listener on loopback
	Tokens      *Tokens // nil: no token is asked for
	Info        func() Info

	// What is nil below is not served.
	Policies    *policy.Store
	PolicyStats *policy.Stats
	Decisions   func() Decisions
	Threats     threat.Registry
	Immune      *immune.Log
	Quarantine  Quarantine
	Protection  Protector
	Events      EventLog
}

// Server is one listener. Listen opens it, Serve lets callers in, Drain ends it.
type Server struct {
	o       Options
	routes  routes
	guesses guesses
	stream  *hub // nil: no events are served
	panics  atomic.Uint64
	http    *http.Server
	ln      net.Listener
	done    sync.WaitGroup
}

// New makes a server that listens nowhere yet.
func New(o Options) *Server {
	s := &Server{o: o}
	s.mount()
	s.http = &http.Server{
		Handler: s, MaxHeaderBytes: maxHeader, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout,
		IdleTimeout: idleTimeout, ErrorLog: log.New(logLines{o.Log}, "", 0),
	}
	if s.stream != nil {
		s.http.RegisterOnShutdown(s.stream.close)
	}
	return s
}

// mount adds the routes, one call a file.
func (s *Server) mount() {
	s.mountHealth()
	if s.o.Diagnostics {
		if s.o.Pprof {
			s.mountPprof()
		}
		return
	}
	s.mountInfo()
	s.mountOpenAPI()
	if s.o.Policies != nil {
		s.mountPolicies()
	}
	if s.o.Threats != nil {
		s.mountThreats()
	}
	if s.o.Immune != nil {
		s.mountImmune()
	}
	if s.o.Quarantine != nil && s.o.Immune != nil { // which tells of it
		s.mountQuarantine()
	}
	if s.o.Events != nil {
		s.mountStream()
	}
}

// Listen opens a TCP listener, with TLS unless t is nil, and returns its address.
func (s *Server) Listen(addr string, t *tls.Config) (net.Addr, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s.ln = ln
	if t != nil {
		s.ln = tls.NewListener(ln, t)
	}
	s.ln = problems{s.ln}
	return ln.Addr(), nil
}

// Serve lets callers in and returns at once. It is called once, after Listen.
func (s *Server) Serve() {
	s.done.Go(func() {
		if err := s.http.Serve(s.ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.o.Log.Warn("listener ended", err)
		}
	})
}

// Drain closes the listener and waits for requests until ctx ends.
func (s *Server) Drain(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	if s.ln != nil {
		_ = s.ln.Close() // Shutdown knows it only if Serve was called
	}
	s.done.Wait()
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	w := &begun{ResponseWriter: to}
	defer s.rescue(w)
	w.Header().Set("Cache-Control", "no-store")
	if id := requestID(r); id != "" {
		w.Header().Set("X-Request-Id", id)
	}
	route, allow := s.routes.find(r)
	if route == nil || !route.open {
		var ok bool
		if r, ok = s.mayPass(w, r); !ok {
			return
		}
	}
	switch {
	case route != nil:
		route.serve(w, r)
	case allow != "":
		w.Header().Set("Allow", allow)
		Fail(w, http.StatusMethodNotAllowed, "expected one of "+allow)
	default:
		Fail(w, http.StatusNotFound, "there is nothing at this path")
	}
}

// logLines passes on what net/http has to say.
type logLines struct{ log Log }

func (l logLines) Write(p []byte) (int, error) {
	l.log.Warn("http", errors.New(strings.TrimSpace(string(p))))
	return len(p), nil
}
