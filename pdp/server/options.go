package server

import (
	"io/fs"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/internal/guard"
	"thymus/internal/health"
	"thymus/pdp"
	"thymus/pdp/engine"
)

// Mesh answers proxies: what begins with /ext_authz/. It may be called from many goroutines at once.
type Mesh interface {
	// Serve answers one call, and never with a status of the 500s. ctx and peer are lent until it returns.
	Serve(ctx *fasthttp.RequestCtx, peer *pdp.Peer)
	// MaxBody is how many bytes of a request's body are read for it, so that it can refuse what is too long in its own
	// words.
	MaxBody() int
	// TooLarge is told of a call whose body is not read, or not to its end, because it is longer than that. Nothing is kept
	// of the header.
	TooLarge(h *fasthttp.RequestHeader)
}

// Log is told what an operator has to know. None of it is about a single request, except a panic.
type Log interface {
	Warn(what string, err error)
}

// Options of a Server. Engine, Health and Log are required; a limit or time-out of 0 is the default.
type Options struct {
	Engine *engine.Engine
	Health *health.Health
	Log    Log
	Mesh   Mesh         // nil: /ext_authz/ is answered with 403
	Token  *guard.Token // nil: no token is asked for

	MaxBody        int           // bytes of a request's body, also once unpacked; default 1 MiB
	MaxHeader      int           // bytes of the request line and all headers; default 16 KiB
	MaxConnections int           // of all listeners together; default 16384
	ReadTimeout    time.Duration // from a request's first byte to its last; default 10 s
	WriteTimeout   time.Duration // for one write of an answer; default 10 s
	IdleTimeout    time.Duration // between requests, and before the first; default 120 s

	PublicURL string // of AuthZEN's metadata; empty: SetPublicURL says it before the first request

	OPAPaths   []string                     // globs parted by "/"; nil: all
	OPASubject []string                     // path below the input to the subject's id
	YAML       func([]byte) ([]byte, error) // turns YAML into JSON for the Data API; nil: it takes none
}

// UnixOptions of a Unix socket.
type UnixOptions struct {
	Path string
	Mode fs.FileMode
	UIDs []uint32 // who may connect; empty: anybody whom the mode lets
}

func (o Options) withDefaults() Options {
	orInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt(&o.MaxBody, 1<<20)
	orInt(&o.MaxHeader, 16<<10)
	orInt(&o.MaxConnections, 16384)
	orTime(&o.ReadTimeout, 10*time.Second)
	orTime(&o.WriteTimeout, 10*time.Second)
	orTime(&o.IdleTimeout, 120*time.Second)
	return o
}

// maxCorrelation bounds what is taken for a correlation id, in bytes.
const maxCorrelation = pdp.MaxName
