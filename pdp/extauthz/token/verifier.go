package token

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/lestrrat-go/jwx/v3/jws"

	"thymus/internal/guard"
	"thymus/pdp"
	"thymus/pdp/wire"
)

// maxToken bounds a token in bytes, before anything is done with it.
const maxToken = 64 << 10

// Options of a Verifier. JWKS and Algorithms are required.
type Options struct {
	JWKS       string        // a file, or an https URL
	Issuer     string        // the iss that a token must carry; empty: any
	Audience   []string      // a token must carry one of them as aud; none: any
	Algorithms []string      // that count
	Leeway     time.Duration // by which clocks may differ
	Eternal    bool          // a token without exp counts; otherwise it is invalid
	Refresh    time.Duration // between two fetches from a URL; 0: 10 minutes
	MaxAge     time.Duration // how long keys count after the last fetch that succeeded; 0: 24 hours

	Files  *guard.Files                  // reads a file again when it changes; nil: it is read once
	Report func(changed bool, err error) // is told of every fetch from a URL, and if it brought other keys; nil: nobody
	Client *http.Client                  // for tests; nil: one with time-outs, that follows no redirect away from https
	Now    func() time.Time              // for tests; nil: the clock
}

// Verifier verifies tokens. Verify may be called from many goroutines at once.
type Verifier struct {
	o       Options
	url     bool
	keys    atomic.Pointer[keySet] // nil: none were fetched yet
	fetched atomic.Int64           // when a fetch succeeded last, in nanoseconds of Unix time
	known   cache
	scans   sync.Pool
	wanted  chan struct{} // somebody named a key that is not known
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// Open reads the keys. A file that cannot be read is an error; a URL that does not answer within 3 s is reported and
// asked again, and until it does all tokens are invalid: an issuer that is away must not keep what else decides from
// starting, and nobody is let in for it.
func Open(ctx context.Context, o Options) (*Verifier, error) {
	if o.Refresh <= 0 {
		o.Refresh = 10 * time.Minute
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(bool, error) {}
	}
	v := &Verifier{o: o, wanted: make(chan struct{}, 1), cancel: func() {}}
	v.scans.New = func() any { return wire.NewScanner() }
	if v.url = strings.HasPrefix(o.JWKS, "https://"); !v.url {
		if o.Files == nil {
			return v, v.read()
		}
		return v, o.Files.Add(v.read, o.JWKS)
	}
	if v.o.Client == nil {
		v.o.Client = client()
	}
	v.o.Report(v.fetch(ctx, firstTime))
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v.cancel = cancel
	v.done.Go(func() { v.run(running) })
	return v, nil
}

// Close stops fetching.
func (v *Verifier) Close() {
	v.cancel()
	v.done.Wait()
}

func (v *Verifier) read() error {
	text, err := os.ReadFile(v.o.JWKS)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	s, err := parseKeys(text)
	if err != nil {
		return fmt.Errorf("keys in %s: %w", v.o.JWKS, err)
	}
	v.adopt(s)
	return nil
}

// adopt makes s the keys that count, unless they are what counts already: tokens that were believed stay so.
func (v *Verifier) adopt(s *keySet) (changed bool) {
	if old := v.keys.Load(); old != nil && old.sum == s.sum {
		return false
	}
	v.keys.Store(s)
	return true
}

// The reasons for which a token is invalid, beside those with a value in them.
var (
	errForm      = errors.New("it is no signed token in the compact form")
	errKeys      = errors.New("no keys are known yet")
	errKey       = errors.New("no known key could have signed it")
	errSignature = errors.New("its signature is wrong")
	errClaims    = errors.New("its claims are no JSON object")
	errIssuer    = errors.New("its issuer is another")
	errAudience  = errors.New("it is for another audience")
	errExpired   = errors.New("it has expired")
	errEarly     = errors.New("it is not valid yet")
	errEternal   = errors.New("it has no exp")
	errStale     = errors.New("its keys could not be fetched again for too long")
	errTimes     = errors.New("exp, nbf and iat: numbers expected")
	errCritical  = errors.New("it asks for an extension (crit) that is not known")
)

// Verify returns the claims of a valid token, a JSON object, which nobody may write to: they are shared with whoever else
// shows it. The error says in one line, fit for a client's eyes, why the token is invalid.
func (v *Verifier) Verify(token string) (claims []byte, err error) {
	set, now := v.keys.Load(), v.o.Now().UnixNano()
	switch {
	case len(token) > maxToken:
		return nil, errForm
	case set == nil:
		return nil, errKeys
	case v.url && now-v.fetched.Load() > int64(v.o.MaxAge):
		return nil, errStale
	case len(token) > maxCached:
		claims, _, _, err = v.examine(token, set, now)
		return claims, err
	}
	sum := sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token))) // which reads and keeps nothing
	if claims = v.known.find(&sum, set, now); claims != nil {
		return claims, nil
	}
	claims, from, until, err := v.examine(token, set, now)
	if err != nil {
		return nil, err
	}
	v.known.put(&believed{sum: sum, keys: set, from: from, until: until, claims: claims}, now)
	return claims, nil
}

// examine verifies a token at now; it is valid in [from, until).
func (v *Verifier) examine(token string, set *keySet, now int64) (claims []byte, from, until int64, err error) {
	if !isCompact(token) {
		return nil, 0, 0, errForm
	}
	scan := v.scans.Get().(*wire.Scanner)
	defer v.scans.Put(scan)
	alg, kid, err := readHeader(token, scan)
	if err != nil {
		return nil, 0, 0, err
	}
	if !slices.Contains(v.o.Algorithms, oneName(alg)) {
		return nil, 0, 0, fmt.Errorf("its algorithm is not one of %s", strings.Join(v.o.Algorithms, ", "))
	}
	keys, algorithm := set.candidates(kid, alg)
	if len(keys) == 0 {
		select {
		case v.wanted <- struct{}{}:
		default:
		}
		return nil, 0, 0, errKey
	}
	for _, k := range keys {
		if claims, err = jws.VerifyCompactFast(k.raw, []byte(token), algorithm); err == nil {
			from, until, err = v.judge(claims, scan, now)
			return claims, from, until, err
		}
	}
	return nil, 0, 0, errSignature
}

// isCompact says whether a token has three parts in the letters of base64url, the last one without spare bits (RFC 7515, 2).
// What decodes them further on passes over line breaks and takes the other alphabet too; a token would then have many
// spellings, each of them remembered.
func isCompact(token string) bool {
	dots := 0
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.':
			dots++
		default:
			return false
		}
	}
	if dots != 2 {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	return err == nil
}

// readHeader reads the protected header's alg and kid.
func readHeader(token string, scan *wire.Scanner) (alg, kid string, err error) {
	part, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return "", "", errForm
	}
	var d pdp.Doc
	if p := scan.Scan(text, wire.Mode{Depth: 8}, &d); p != nil || d.Nodes[0].Kind != pdp.Object {
		return "", "", errForm
	}
	if d.Path("crit") >= 0 || d.Path("b64") >= 0 {
		return "", "", errCritical
	}
	alg, ok := d.StringAt(d.Path("alg"))
	if !ok {
		return "", "", errForm
	}
	if i := d.Path("kid"); i >= 0 {
		if kid, ok = d.StringAt(i); !ok {
			return "", "", errForm
		}
	}
	return alg, kid, nil
}

// judge checks the claims of a token whose signature is right, and says from when until when they hold.
func (v *Verifier) judge(claims []byte, scan *wire.Scanner, now int64) (from, until int64, err error) {
	var d pdp.Doc
	if p := scan.Scan(claims, wire.Mode{Depth: pdp.MaxDepth}, &d); p != nil || d.Nodes[0].Kind != pdp.Object {
		return 0, 0, errClaims
	}
	if v.o.Issuer != "" {
		if iss, ok := d.StringAt(d.Path("iss")); !ok || iss != v.o.Issuer {
			return 0, 0, errIssuer
		}
	}
	if len(v.o.Audience) > 0 && !v.meant(&d) {
		return 0, 0, errAudience
	}
	exp, hasExp, ok1 := instant(&d, "exp", v.o.Leeway)
	nbf, hasNbf, ok2 := instant(&d, "nbf", -v.o.Leeway)
	iat, hasIat, ok3 := instant(&d, "iat", -v.o.Leeway)
	from, until = math.MinInt64, math.MaxInt64
	if hasExp {
		until = exp
	}
	if hasNbf {
		from = nbf
	}
	if hasIat {
		from = max(from, iat)
	}
	switch {
	case !ok1 || !ok2 || !ok3:
		return 0, 0, errTimes
	case !hasExp && !v.o.Eternal:
		return 0, 0, errEternal
	case now >= until:
		return 0, 0, errExpired
	case now < from:
		return 0, 0, errEarly
	}
	return from, until, nil
}

// meant says whether aud, a string or an array of them, names one of ours.
func (v *Verifier) meant(d *pdp.Doc) bool {
	i := d.Path("aud")
	if i < 0 {
		return false
	}
	if aud, ok := d.StringAt(i); ok {
		return slices.Contains(v.o.Audience, aud)
	}
	if d.Nodes[i].Kind != pdp.Array {
		return false
	}
	for c := i + 1; c < d.Nodes[i].Next; c = d.Nodes[c].Next {
		if aud, ok := d.StringAt(c); ok && slices.Contains(v.o.Audience, aud) {
			return true
		}
	}
	return false
}

// instant is a NumericDate (RFC 7519, 2), moved by some time, in nanoseconds of Unix time. What lies beyond the years that
// those can say is as far as they go.
func instant(d *pdp.Doc, name string, moved time.Duration) (at int64, given, ok bool) {
	i := d.Path(name)
	if i < 0 {
		return 0, false, true
	}
	if d.Nodes[i].Kind != pdp.Number {
		return 0, true, false
	}
	sec, err := strconv.ParseFloat(d.Str(d.Nodes[i].Val), 64)
	if err != nil {
		return 0, true, false
	}
	whole, part := math.Modf(sec)
	switch {
	case whole > maxSeconds:
		return math.MaxInt64, true, true
	case whole < -maxSeconds:
		return math.MinInt64, true, true
	}
	return int64(whole)*int64(time.Second) + int64(part*float64(time.Second)) + int64(moved), true, true
}

// maxSeconds are the years until 2255: with an hour of leeway they fit 63 bits of nanoseconds.
const maxSeconds = 9e9
