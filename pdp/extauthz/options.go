package extauthz

import (
	"context"
	"fmt"
	"strings"

	"thymus/pdp/engine"
)

// Verifier knows who signed a token. It may be called from many goroutines at once.
type Verifier interface {
	// Verify returns the claims of a valid token, a JSON object. The error says in one line, fit for a client's eyes,
	// what is wrong with it.
	Verify(token string) (claims []byte, err error)
}

// InputReader is what an evaluator may be, beside pdp.Evaluator: it knows which members of the input its policies can
// look at. Without it all are taken to be looked at.
type InputReader interface {
	// ReadsInput says whether any policy of the set could look at the member called name.
	ReadsInput(name string) bool
}

// Log is told what an operator has to know. None of it is about a single request, except a panic.
type Log interface {
	Warn(what string, err error)
}

// Identity sources.
const (
	FromJWT       = "jwt"
	FromPrincipal = "principal"
	FromAddress   = "address"
	FromHeader    = "header:" // and the header's name
)

// Options of a Mesh. Engine and Log are required.
type Options struct {
	Engine *engine.Engine
	Log    Log

	Entrypoint string   // path below data of the rule that answers, parted by slashes; empty: as for every other surface
	Identity   []string // sources, in their order; empty: principal, address
	RoleHeader string   // header that holds the role; empty: none

	Tokens    Verifier // for the source jwt
	JWTHeader string   // header that holds the token, as Bearer TOKEN or bare; empty: authorization
	RoleClaim string   // claim that is the role, parted by dots; empty: role

	ExposeReason bool // a denied client is told why
	DryRun       bool // all is permitted, and what would have been is recorded
	Guarded      bool // callers by HTTP show the data plane's token in Authorization: it is theirs, and no part of the request
	MaxBody      int  // bytes of a CheckRequest; 0: 4 MiB. No more of one is ever kept

	MaxConnections int // of the gRPC listeners together; 0: 16384
}

// Slack is how many bytes beyond MaxBody a call may have and still be read to its end. Over gRPC one that is longer is
// denied before its end, over HTTP it is cut off.
const Slack = 64 << 20

// identity is a source, taken apart.
type identity struct {
	kind   string // FromJWT, FromPrincipal, FromAddress, or "header"
	header string // in lower case
}

func (o *Options) sources() ([]identity, error) {
	if len(o.Identity) == 0 {
		return []identity{{kind: FromPrincipal}, {kind: FromAddress}}, nil
	}
	var out []identity
	for _, s := range o.Identity {
		name, isHeader := strings.CutPrefix(s, FromHeader)
		switch {
		case s == FromPrincipal || s == FromAddress || s == FromJWT && o.Tokens != nil:
			out = append(out, identity{kind: s})
		case isHeader && isToken(name):
			out = append(out, identity{kind: "header", header: strings.ToLower(name)})
		default:
			return nil, fmt.Errorf("identity source %q: expected jwt with a verifier, principal, address or header:NAME", s)
		}
	}
	return out, nil
}

func (o Options) withDefaults() Options {
	if o.MaxBody <= 0 {
		o.MaxBody = 4 << 20
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 16384
	}
	if o.RoleClaim == "" {
		o.RoleClaim = "role"
	}
	if o.JWTHeader == "" {
		o.JWTHeader = "authorization"
	}
	o.JWTHeader, o.RoleHeader = strings.ToLower(o.JWTHeader), strings.ToLower(o.RoleHeader)
	return o
}

// ErrCut says that calls in flight were cut off.
var ErrCut = fmt.Errorf("calls in flight were cut off: %w", context.DeadlineExceeded)
