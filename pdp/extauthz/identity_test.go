package extauthz_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/extauthz"
	"thymus/pdp/extauthz/token"
	"thymus/rules"
)

// idp signs tokens with standard-library crypto alone.
type idp struct {
	t    testing.TB
	key  ed25519.PrivateKey
	file string
}

func newIDP(t testing.TB) *idp {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &idp{t: t, key: key, file: filepath.Join(t.TempDir(), "jwks.json")}
	set, _ := json.Marshal(map[string]any{"keys": []any{map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "k",
		"x": base64.RawURLEncoding.EncodeToString(pub)}}})
	if err := os.WriteFile(i.file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// token signs claims, which are issued for us and for an hour unless they say otherwise.
func (i *idp) token(claims map[string]any) string {
	c := map[string]any{"iss": "https://idp", "aud": "shop", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range claims {
		c[k] = v
	}
	b, _ := json.Marshal(c)
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." + base64.RawURLEncoding.EncodeToString(b)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.key, []byte(text)))
}

// believes lets a Mesh take subjects from sources, tokens of i among them.
func (i *idp) believes(sources ...string) setting {
	v, err := token.Open(context.Background(), token.Options{JWKS: i.file, Issuer: "https://idp", Audience: []string{"shop"},
		Algorithms: []string{"EdDSA"}})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(v.Close)
	return options(func(x *extauthz.Options) { x.Identity, x.Tokens = sources, v })
}

const subjects = `package policies.mesh

allow contains "known" if input.subject.id != ""
`

// Each identity by gRPC and by HTTP: what the policy sees, or the reason of the denial.
func TestSubjectsComeFromTheFirstSourceThatYieldsOne(t *testing.T) {
	i := newIDP(t)
	bob := "Bearer " + i.token(map[string]any{"sub": "bob", "team": "web", "role": "reader", "list": []any{1, map[string]any{"a": nil}}})
	other := i.token(map[string]any{"sub": "bob", "iss": "https://evil"})
	const invalid = "Evaluation error - denied: invalid token: "
	for _, c := range []struct {
		name      string
		sources   string
		principal string
		headers   []string
		want      string // type id properties, or the reason
	}{
		{"a token", "jwt,address", "", []string{"authorization", bob}, `jwt bob {"aud":"shop","iss":"https://idp","list":[1,{"a":null}],"role":"reader","sub":"bob","team":"web"}`},
		{"a token in bare form", "jwt", "", []string{"authorization", bob[7:]}, "jwt bob "},
		{"the scheme in small letters", "jwt", "", []string{"authorization", "bearer  " + bob[7:] + " "}, "jwt bob "},
		{"no token", "jwt,address", "", nil, "address 10.1.2.3 {}"},
		{"another scheme is no token", "jwt,address", "", []string{"authorization", "Basic Ym9iOmE="}, "address 10.1.2.3 {}"},
		{"an empty header is no token", "jwt,address", "", []string{"authorization", ""}, "address 10.1.2.3 {}"},
		{"an invalid token leaves no other source", "jwt,address", "", []string{"authorization", "Bearer a.b.c"}, invalid + "it is no signed token in the compact form"},
		{"a token of another issuer", "jwt,address", "", []string{"authorization", "Bearer " + other}, invalid + "its issuer is another"},
		{"a scheme without a token", "jwt,address", "", []string{"authorization", "Bearer"}, invalid + "it is no signed token in the compact form"},
		{"no sub", "jwt,address", "", []string{"authorization", i.token(nil)}, invalid + "it has no sub"},
		{"a sub that is no text", "jwt,address", "", []string{"authorization", i.token(map[string]any{"sub": 7})}, invalid + "it has no sub"},
		{"two tokens that a proxy joined", "jwt,address", "", []string{"authorization", bob + "," + bob}, invalid + "it is no signed token in the compact form"},
		{"the header before the token", "header:x-user,jwt", "", []string{"x-user", "eve", "authorization", bob}, "header eve {}"},
		{"the token before the header", "jwt,header:x-user", "", []string{"x-user", "eve", "authorization", bob}, "jwt bob "},
		{"an invalid token that nobody asks about", "header:x-user,jwt", "", []string{"x-user", "eve", "authorization", "Bearer x"}, "header eve {}"},
		{"a principal whole", "principal,address", "spiffe://cluster.local/ns/shop/sa/web", nil, "principal spiffe://cluster.local/ns/shop/sa/web {}"},
		{"no principal", "principal,address", "", nil, "address 10.1.2.3 {}"},
		{"the address first", "address,principal", "spiffe://x", nil, "address 10.1.2.3 {}"},
		{"a header in any case", "header:X-User", "", []string{"x-user", "Zoë"}, "header Zoë {}"},
		{"nobody", "header:x-user", "", nil, "  {}"},
	} {
		r := start(t, subjects, i.believes(strings.Split(c.sources, ",")...))
		req := get("/x", c.headers...)
		req.Attributes.Source.Principal = c.principal
		for surface, ask := range map[string]func() bool{
			"grpc": func() bool { return allowed(r.check(req)) },
			"http": func() bool {
				h := append([]string{"X-Forwarded-For", "10.1.2.3"}, c.headers...)
				return r.call("GET", "/ext_authz/envoy/x", h...).Response.StatusCode() == 200
			},
		} {
			if surface == "http" && c.principal != "" {
				continue // nobody tells it over HTTP
			}
			permit, rec := ask(), <-r.rec.ch
			if strings.HasPrefix(c.want, "Evaluation error") {
				if permit || rec.Reason != c.want {
					t.Errorf("%s, %s: permit %t, %q", c.name, surface, permit, rec.Reason)
				}
				continue
			}
			var in map[string]any
			if err := json.Unmarshal(rec.Input, &in); err != nil {
				t.Fatal(err)
			}
			properties, _ := at(in, "subject", "properties").(map[string]any)
			delete(properties, "exp")
			b, _ := json.Marshal(properties)
			kind, _ := at(in, "subject", "type").(string)
			id, _ := at(in, "subject", "id").(string)
			if got := kind + " " + id + " " + string(b); !strings.HasPrefix(got, c.want) || permit != (id != "") {
				t.Errorf("%s, %s: permit %t, %s, want %s", c.name, surface, permit, got, c.want)
			}
			if rec.SubjectID != id || rec.SubjectType != kind {
				t.Errorf("%s, %s: recorded as %s %s", c.name, surface, rec.SubjectType, rec.SubjectID)
			}
		}
	}
}

func TestRolesComeFromTheClaimThatTheOperatorNamesOrTheHeaderOverIt(t *testing.T) {
	i := newIDP(t)
	tok := i.token(map[string]any{"sub": "bob", "role": "reader", "realm": map[string]any{"role": "writer", "roles": []any{"a"}}})
	for _, c := range []struct{ claim, header, sent, want, properties string }{
		{"", "", "", "reader", "reader"}, {"realm.role", "", "", "writer", "writer"}, {"realm.roles", "", "", "", "reader"}, {"none", "", "", "", "reader"},
		{"", "x-role", "admin", "admin", "admin"}, {"", "x-role", "", "reader", "reader"},
	} {
		r := start(t, subjects, i.believes("jwt"), options(func(x *extauthz.Options) { x.RoleClaim, x.RoleHeader = c.claim, c.header }))
		if !allowed(r.check(get("/x", "authorization", tok, "x-role", c.sent))) {
			t.Fatalf("%+v: denied", c)
		}
		rec := <-r.rec.ch
		var in map[string]any
		_ = json.Unmarshal(rec.Input, &in)
		if rec.Role != c.want || at(in, "subject", "properties", "role") != c.properties || at(in, "subject", "properties", "sub") != "bob" {
			t.Errorf("%+v: recorded %q, %v", c, rec.Role, at(in, "subject", "properties"))
		}
	}
}

func TestAHeaderThatComesTwiceNamesNobody(t *testing.T) {
	i := newIDP(t)
	tok := i.token(map[string]any{"sub": "bob"})
	for name, value := range map[string]string{"x-user": "eve", "authorization": "Bearer " + tok, "x-role": "admin"} {
		r := start(t, subjects, i.believes("jwt", "header:x-user", "address"), options(func(x *extauthz.Options) { x.RoleHeader = "x-role" }))
		if s := r.call("GET", "/ext_authz/envoy/x", name, value, name, value).Response.StatusCode(); s != 403 {
			t.Errorf("%s over HTTP: %d", name, s)
		}
		req := get("/x")
		h := req.Attributes.Request.Http
		h.HeaderMap = &core.HeaderMap{Headers: []*core.HeaderValue{{Key: name, RawValue: []byte(value)}, {Key: name, RawValue: []byte(value)}}}
		h.Headers = nil
		if d := r.check(req); !denied(d) {
			t.Errorf("%s over gRPC: %v", name, d)
		}
	}
}

// ward is a quarantine that remembers whom it was asked about.
type ward struct {
	mu    sync.Mutex
	asked []string
}

func (w *ward) Quarantined(kind, id string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, kind+" "+id)
	return "", kind+" "+id == "header eve"
}

func TestQuarantineIsAskedAboutSubjectsAndNobodyElse(t *testing.T) {
	w := &ward{}
	r := start(t, "package policies.p\nallow contains \"all\"\n", options(func(x *extauthz.Options) { x.Identity = []string{"header:x-user"} }),
		func(_ *extauthz.Options, e *engine.Options, _ *rules.Options) { e.Quarantine = w })
	for _, c := range []struct {
		name   string
		ask    func() bool
		permit bool
		asked  string
	}{
		{"nobody", func() bool { return allowed(r.check(get("/x"))) }, true, ""},
		{"nobody over HTTP", func() bool { return r.call("GET", "/ext_authz/envoy/x").Response.StatusCode() == 200 }, true, ""},
		{"eve", func() bool { return allowed(r.check(get("/x", "x-user", "eve"))) }, false, "header eve"},
		{"bob", func() bool { return allowed(r.check(get("/x", "x-user", "bob"))) }, true, "header bob"},
		{"a call that cannot be read", func() bool { return allowed(r.check(&auth.CheckRequest{})) }, false, ""},
	} {
		w.asked = nil
		if permit := c.ask(); permit != c.permit || strings.Join(w.asked, ",") != c.asked {
			t.Errorf("%s: permit %t, asked about %q", c.name, permit, w.asked)
		}
		select {
		case rec := <-r.rec.ch:
			if rec.Flags.Has(pdp.FlagAllowed) != c.permit {
				t.Errorf("%s: recorded otherwise", c.name)
			}
		default:
		}
	}
}

// With data.token_file a proxy shows the data plane's token where a client would show its own.
func TestTheDataPlanesTokenIsNoPartOfTheRequest(t *testing.T) {
	i := newIDP(t)
	mine := i.token(map[string]any{"sub": "bob"})
	guarded := options(func(o *extauthz.Options) { o.Guarded = true })
	call := []string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/x", "Authorization", "Bearer plane", "X-Token", mine}
	for _, c := range []struct {
		name    string
		set     []setting
		subject string
		denied  bool
	}{
		{"nobody looks for a token", []setting{guarded}, "", false},
		{"the client's is in another header", []setting{i.believes("jwt"), guarded, options(func(o *extauthz.Options) { o.JWTHeader = "X-Token" })}, "bob", false},
		{"the client's would be in the same header", []setting{i.believes("jwt", "address"), guarded}, "", true},
	} {
		r := start(t, byAction, c.set...)
		ctx := r.call("GET", "/ext_authz/forward", call...)
		in := r.recorded()
		headers, _ := at(in, "attributes", "request", "http", "headers").(map[string]any)
		if _, shown := headers["authorization"]; shown || headers["x-token"] != mine {
			t.Errorf("%s: the policy saw %v", c.name, headers)
		}
		if got, _ := at(in, "subject", "id").(string); got != c.subject {
			t.Errorf("%s: the subject is %q", c.name, got)
		}
		if denied := ctx.Response.StatusCode() == 403; denied != c.denied {
			t.Errorf("%s: %d %s", c.name, ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
	if r := start(t, byAction); r.call("GET", "/ext_authz/forward", call...) != nil {
		if at(r.recorded(), "attributes", "request", "http", "headers", "authorization") != "Bearer plane" {
			t.Error("without a token of the data plane the header is the client's")
		}
	}
}
