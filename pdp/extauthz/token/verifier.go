package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	Refresh    time.Duration // between two fetches from a URL; 0: 10 minutes

	Files  *guard.Files                  // reads a file again when it changes; nil: it is read once
	Report func(place string, err error) // is told of every fetch from a URL; nil: nobody
	Client *http.Client                  // for tests; nil: one with time-outs, that follows no redirect away from https
	Now    func() time.Time              // for tests; nil: the clock
}

// Verifier verifies tokens. Verify may be called from many goroutines at once.
type Verifier struct {
	o      Options
	keys   atomic.Pointer[keySet] // nil: none were fetched yet
	scans  sync.Pool
	wanted chan struct{} // somebody named a key that is not known
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Open reads the keys. A file that cannot be read is an error; a URL that does not answer is reported and asked again,
// and until it does all tokens are invalid.
func Open(ctx context.Context, o Options) (*Verifier, error) {
	if o.Refresh <= 0 {
		o.Refresh = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(string, error) {}
	}
	v := &Verifier{o: o, wanted: make(chan struct{}, 1), cancel: func() {}}
	v.scans.New = func() any { return wire.NewScanner() }
	if !strings.HasPrefix(o.JWKS, "https://") {
		if o.Files == nil {
			return v, v.read()
		}
		return v, o.Files.Add(v.read, o.JWKS)
	}
	if v.o.Client == nil {
		v.o.Client = client()
	}
	if err := v.fetch(ctx); err != nil {
		v.o.Report(o.JWKS, err)
	}
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
	v.keys.Store(s)
	return nil
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
	errTimes     = errors.New("exp, nbf and iat: numbers expected")
	errCritical  = errors.New("it asks for an extension (crit) that is not known")
)

// Verify returns the claims of a valid token, a JSON object. The error says in one line, fit for a client's eyes, why it
// is invalid.
func (v *Verifier) Verify(token string) ([]byte, error) {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return nil, errForm
	}
	scan := v.scans.Get().(*wire.Scanner)
	defer v.scans.Put(scan)
	alg, kid, err := readHeader(token, scan)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(v.o.Algorithms, alg) {
		return nil, fmt.Errorf("its algorithm is not one of %s", strings.Join(v.o.Algorithms, ", "))
	}
	set := v.keys.Load()
	if set == nil {
		return nil, errKeys
	}
	keys, algorithm := set.candidates(kid, alg)
	if len(keys) == 0 {
		select {
		case v.wanted <- struct{}{}:
		default:
		}
		return nil, errKey
	}
	for _, k := range keys {
		claims, err := jws.VerifyCompactFast(k.raw, []byte(token), algorithm)
		if err == nil {
			if err = v.judge(claims, scan); err != nil {
				return nil, err
			}
			return claims, nil
		}
	}
	return nil, errSignature
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

// judge checks the claims of a token whose signature is right.
func (v *Verifier) judge(claims []byte, scan *wire.Scanner) error {
	var d pdp.Doc
	if p := scan.Scan(claims, wire.Mode{Depth: pdp.MaxDepth}, &d); p != nil || d.Nodes[0].Kind != pdp.Object {
		return errClaims
	}
	if v.o.Issuer != "" {
		if iss, ok := d.StringAt(d.Path("iss")); !ok || iss != v.o.Issuer {
			return errIssuer
		}
	}
	if len(v.o.Audience) > 0 && !v.meant(&d) {
		return errAudience
	}
	now, leeway := float64(v.o.Now().UnixNano())/1e9, v.o.Leeway.Seconds()
	exp, hasExp, ok1 := instant(&d, "exp")
	nbf, hasNbf, ok2 := instant(&d, "nbf")
	iat, hasIat, ok3 := instant(&d, "iat")
	switch {
	case !ok1 || !ok2 || !ok3:
		return errTimes
	case hasExp && now >= exp+leeway:
		return errExpired
	case hasNbf && now < nbf-leeway, hasIat && now < iat-leeway:
		return errEarly
	}
	return nil
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

// instant is a NumericDate (RFC 7519, 2).
func instant(d *pdp.Doc, name string) (at float64, given, ok bool) {
	i := d.Path(name)
	if i < 0 {
		return 0, false, true
	}
	if d.Nodes[i].Kind != pdp.Number {
		return 0, true, false
	}
	at, err := strconv.ParseFloat(d.Str(d.Nodes[i].Val), 64)
	return at, true, err == nil
}
