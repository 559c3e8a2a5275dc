package admin

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
)

// begun is a writer that knows whether an answer has begun. It belongs to one request.
type begun struct {
	http.ResponseWriter
	yes bool
}

// WriteHeader is http.ResponseWriter's.
func (b *begun) WriteHeader(status int) {
	b.yes = true
	b.ResponseWriter.WriteHeader(status)
}

// Write is http.ResponseWriter's.
func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what the connection can do.
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// Panics is how many requests ended in one.
func (s *Server) Panics() uint64 {
	if s == nil {
		return 0
	}
	return s.panics.Load()
}

// rescue answers a request that ended in a panic, and says so; one whose answer has begun is cut off, so that its client
// does not take a part for the whole.
func (s *Server) rescue(w *begun) {
	r := recover()
	if r == nil {
		return
	}
	if err, ok := r.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(r)
	}
	s.panics.Add(1)
	s.o.Log.Warn("request ended in a panic", fmt.Errorf("%v\n%s", r, debug.Stack()))
	if w.yes {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Connection", "close")
	Fail(w, http.StatusInternalServerError, "the request could not be carried out; the log says why")
}
