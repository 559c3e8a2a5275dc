package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Bounds on guessing: how many wrong tokens a client may show in a window, and how many clients are remembered.
const (
	maxGuesses  = 10
	guessWindow = time.Minute
	maxGuessers = 4096
)

// mayPass checks the token; where it is not right, or its role may not do this, it has answered.
func (s *Server) mayPass(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	if s.o.Diagnostics || s.o.Tokens == nil {
		return withCaller(r, anybody()), true
	}
	shown := r.Header.Get("Authorization")
	if c, ok := s.o.Tokens.Caller(shown); ok {
		if c.Role != RoleWrite && r.Method != http.MethodGet && r.Method != http.MethodHead {
			Fail(w, http.StatusForbidden, "the token "+c.Name+" may read, and not write")
			return r, false
		}
		return withCaller(r, c), true
	}
	if shown != "" {
		if wait := s.guesses.wrong(client(r.RemoteAddr), time.Now()); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			Fail(w, http.StatusTooManyRequests, "too many wrong tokens from this address")
			return r, false
		}
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	Fail(w, http.StatusUnauthorized, "a bearer token is expected")
	return r, false
}

// client is who guesses: an IPv4 address, or the 64 bits of an IPv6 address that belong to one network.
func client(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return host
	}
	return p.String()
}

// guesses counts wrong tokens by client. The zero value is ready; it may be used by many goroutines at once.
type guesses struct {
	mu    sync.Mutex
	by    map[string]*guesser
	swept time.Time
}

type guesser struct {
	since time.Time
	n     int
}

// wrong counts a wrong token, and says how long the client has to wait if it was one too many.
func (g *guesses) wrong(who string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.by = map[string]*guesser{}
	}
	x := g.by[who]
	if x == nil || now.Sub(x.since) >= guessWindow {
		if x == nil && len(g.by) >= maxGuessers {
			g.forget(now)
		}
		x = &guesser{since: now}
		g.by[who] = x
	}
	x.n++
	if x.n <= maxGuesses {
		return 0
	}
	return max(x.since.Add(guessWindow).Sub(now), time.Millisecond)
}

// forget makes room: of those whose window is over, looked for once in a while, else of any one.
func (g *guesses) forget(now time.Time) {
	if now.Sub(g.swept) >= guessWindow/4 {
		g.swept = now
		for k, x := range g.by {
			if now.Sub(x.since) >= guessWindow {
				delete(g.by, k)
			}
		}
	}
	for k := range g.by {
		if len(g.by) < maxGuessers {
			return
		}
		delete(g.by, k)
	}
}
