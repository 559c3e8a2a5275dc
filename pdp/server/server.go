package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/internal/guard"
	"thymus/pdp/wire"
)

// keepBuffer is how many bytes of a body's buffer an idle connection holds on to.
const keepBuffer = 64 << 10

// Server is a data plane. Listen and ListenUnix open its doors, Serve lets callers in, Drain ends it.
type Server struct {
	o     Options
	http  *fasthttp.Server
	conns *conns
	stats *stats
	turns sync.Pool
	globs globs
	base  atomic.Pointer[string] // public URL
	full  []byte                 // see refusal

	chunked chunked

	listeners []*listener
	serving   sync.WaitGroup
	stopped   chan struct{}
	once      sync.Once
}

// New makes a server that listens nowhere yet. Close or Drain must follow, whether it served or not.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	g, err := compileGlobs(o.OPAPaths)
	if err != nil {
		return nil, fmt.Errorf("opa paths: %w", err)
	}
	fasthttp.SetBodySizePoolLimit(keepBuffer, keepBuffer) // of the process; we are its only user of fasthttp's server
	s := &Server{o: o, conns: newConns(&o), globs: g, stats: newStats(), stopped: make(chan struct{})}
	s.SetPublicURL(o.PublicURL)
	s.full = refusal(http.StatusServiceUnavailable)
	if o.Mesh != nil {
		s.full = refusal(http.StatusForbidden)
	}
	s.turns.New = func() any {
		d := wire.NewDecoder()
		d.YAML = o.YAML
		return &turn{dec: d, lane: s.stats.lanes.Lane()}
	}
	s.http = &fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.malformed,
		ExpectHandler:                s.expect,
		HeaderReceived:               s.received,
		ConnState:                    rested,
		Logger:                       silent{},
		Concurrency:                  2 * o.MaxConnections, // ours is the limit that counts
		ReadBufferSize:               o.MaxHeader,
		MaxRequestBodySize:           o.MaxBody,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true,
		DisablePreParseMultipartForm: true,
	}
	return s, nil
}

// SetPublicURL says under which URL callers know this server.
func (s *Server) SetPublicURL(u string) { s.base.Store(&u) }

// Listen opens a TCP listener, with TLS unless t is nil, and returns its address.
func (s *Server) Listen(addr string, t *tls.Config) (net.Addr, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s.listeners = append(s.listeners, &listener{Listener: ln, s: s, tls: t})
	return ln.Addr(), nil
}

// ListenUnix opens a Unix socket.
func (s *Server) ListenUnix(o UnixOptions) error {
	ln, err := guard.ListenUnix(o.Path, o.Mode)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, &listener{Listener: ln, s: s, uids: o.UIDs})
	return nil
}

// ServeOn is Listen on a listener that somebody else opened.
func (s *Server) ServeOn(ln net.Listener) {
	s.listeners = append(s.listeners, &listener{Listener: ln, s: s})
}

// Serve lets callers in and returns at once. It is called once.
func (s *Server) Serve() {
	for _, l := range s.listeners {
		s.serving.Add(1)
		go func() {
			defer s.serving.Done()
			if err := s.http.Serve(l); err != nil {
				s.o.Log.Warn("listener ended", err)
			}
		}()
	}
}

// Connections is the number of open connections.
func (s *Server) Connections() int { return s.conns.count() }

// Waits of Drain: a connection that was idle for longer than stale is ended at once; others get grace for the request
// that may be on its way, which is answered with the notice that the connection ends.
const (
	stale = time.Second
	grace = 250 * time.Millisecond
)

// ErrCut says that requests in flight were cut off.
var ErrCut = errors.New("requests in flight were cut off")

// Drain closes the listeners, waits for requests in flight until ctx ends, and closes what is left. The error is ErrCut
// or nil.
func (s *Server) Drain(ctx context.Context) error {
	s.shut()
	s.conns.closing.Store(true)
	s.conns.endIdle(stale)
	giveUp := make(chan struct{})
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		t := time.NewTicker(grace)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				s.conns.endIdle(0)
			case <-ctx.Done():
				close(giveUp)
				return
			case <-s.stopped:
				return
			}
		}
	}()
	clean := s.conns.settle(giveUp)
	s.end()
	<-swept
	if !clean {
		return ErrCut
	}
	return nil
}

// Close ends everything at once.
func (s *Server) Close() {
	s.shut()
	s.conns.closing.Store(true)
	s.end()
}

// shut closes the listeners.
func (s *Server) shut() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
}

func (s *Server) end() {
	s.once.Do(func() {
		close(s.stopped)
		s.conns.cut()
		s.conns.stop()
		s.serving.Wait()
	})
}

// rested is told by fasthttp what becomes of connections.
func rested(c net.Conn, state fasthttp.ConnState) {
	if state == fasthttp.StateIdle {
		if o := owner(c); o != nil {
			o.rest()
		}
	}
}

// silent keeps fasthttp from writing to standard error what callers sent.
type silent struct{}

func (silent) Printf(string, ...any) {}
