package extauthz_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/extauthz"
	"thymus/rules"
)

// logs fails a test that logs.
type logs struct{ t testing.TB }

func (l logs) Warn(what string, err error) { l.t.Errorf("%s: %v", what, err) }

// recorder keeps what was recorded.
type recorder struct {
	ch     chan pdp.Record
	refuse bool
}

func (r *recorder) Record(_ pdp.Class, rec *pdp.Record) bool {
	if r.refuse {
		return false
	}
	c := *rec
	c.Input = append([]byte(nil), rec.Input...)
	b, _ := json.Marshal([]string{rec.SubjectType, rec.SubjectID, rec.Role, rec.Action, rec.Resource, rec.Correlation, rec.Reason})
	var s []string
	_ = json.Unmarshal(b, &s)
	c.SubjectType, c.SubjectID, c.Role, c.Action, c.Resource, c.Correlation, c.Reason = s[0], s[1], s[2], s[3], s[4], s[5], s[6]
	select {
	case r.ch <- c:
	default:
	}
	return true
}

// rig is a Mesh over real policies.
type rig struct {
	t      testing.TB
	engine *engine.Engine
	mesh   *extauthz.Mesh
	rec    *recorder
	client auth.AuthorizationClient
	conn   *grpc.ClientConn
	addr   string
}

type setting func(*extauthz.Options, *engine.Options, *rules.Options)

// start makes a Mesh that decides by one Rego module, and a client of it over TCP.
func start(t testing.TB, rego string, set ...setting) *rig {
	t.Helper()
	r := build(t, rego, set...)
	a, err := r.mesh.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.mesh.Start()
	r.addr = a.String()
	r.conn, r.client = dial(t, r.addr)
	return r
}

// build makes a Mesh that decides by one Rego module and listens nowhere yet.
func build(t testing.TB, rego string, set ...setting) *rig {
	t.Helper()
	r := &rig{t: t, rec: &recorder{ch: make(chan pdp.Record, 4096)}}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte(rego), 0o600); err != nil {
		t.Fatal(err)
	}
	eo := engine.Options{Deadline: time.Minute, Recorder: r.rec, Input: true} // no test is of the deadline
	xo := extauthz.Options{Log: logs{t}}
	ro := rules.Options{Paths: []string{dir}}
	for _, s := range set {
		s(&xo, &eo, &ro)
	}
	loaded, err := rules.Load(context.Background(), ro)
	if err != nil {
		t.Fatal(err)
	}
	r.engine = engine.New(eo)
	t.Cleanup(r.engine.Close)
	r.engine.Activate(loaded.Snapshot)
	xo.Engine = r.engine
	if r.mesh, err = extauthz.New(xo); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.mesh.Close)
	return r
}

func dial(t testing.TB, target string) (*grpc.ClientConn, auth.AuthorizationClient) {
	t.Helper()
	return dialWith(t, target, insecure.NewCredentials())
}

func dialWith(t testing.TB, target string, creds credentials.TransportCredentials) (*grpc.ClientConn, auth.AuthorizationClient) {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			network := "tcp"
			if filepath.IsAbs(target) {
				network = "unix"
			}
			var d net.Dialer
			return d.DialContext(ctx, network, target)
		}), grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(256<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, auth.NewAuthorizationClient(c)
}

// check asks and fails on a gRPC error: there must be none.
func (r *rig) check(req *auth.CheckRequest) *auth.CheckResponse {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	resp, err := r.client.Check(ctx, req)
	if err != nil {
		r.t.Fatalf("a gRPC error, which a proxy may be told to let pass: %v", err)
	}
	return resp
}

// input asks and returns the canonical input that the policy saw.
func (r *rig) input(req *auth.CheckRequest) map[string]any {
	r.t.Helper()
	r.check(req)
	return r.recorded()
}

func (r *rig) recorded() map[string]any {
	r.t.Helper()
	select {
	case rec := <-r.rec.ch:
		var in map[string]any
		if err := json.Unmarshal(rec.Input, &in); err != nil {
			r.t.Fatalf("the input is no JSON: %v\n%s", err, rec.Input)
		}
		return in
	case <-time.After(5 * time.Second):
		r.t.Fatal("nothing was recorded")
	}
	return nil
}

// get is a request as Envoy shows it.
func get(path string, headers ...string) *auth.CheckRequest {
	h := map[string]string{":authority": "shop.example", ":method": "GET", ":path": path, ":scheme": "https"}
	for i := 0; i < len(headers); i += 2 {
		h[headers[i]] = headers[i+1]
	}
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source: &auth.AttributeContext_Peer{Address: socket("10.1.2.3", 40000)},
		Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
			Id: "1", Method: "GET", Headers: h, Path: path, Host: "shop.example", Scheme: "https", Protocol: "HTTP/1.1",
		}},
	}}
}

func post(path, contentType, body string) *auth.CheckRequest {
	r := get(path, "content-type", contentType, ":method", "POST")
	h := r.Attributes.Request.Http
	h.Method, h.Body, h.Size = "POST", body, int64(len(body))
	return r
}

func socket(ip string, port uint32) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: ip, PortSpecifier: &core.SocketAddress_PortValue{PortValue: port},
	}}}
}

func allowed(r *auth.CheckResponse) bool {
	return r.GetStatus().GetCode() == 0 && r.GetOkResponse() != nil
}

func denied(r *auth.CheckResponse) bool {
	return r.GetStatus().GetCode() == 7 && r.GetDeniedResponse() != nil
}

func header(hs []*core.HeaderValueOption, name string) (string, bool) {
	for _, h := range hs {
		if h.GetHeader().GetKey() == name {
			return h.GetHeader().GetValue(), true
		}
	}
	return "", false
}

// at follows keys into a JSON value.
func at(v any, keys ...string) any {
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}
