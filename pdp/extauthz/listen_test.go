package extauthz_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"

	"thymus/pdp/extauthz"
	"thymus/test/harness"
)

// certificate is one for both ends: the server's name, and who a client is.
func certificate(a *harness.Authority, id string) tls.Certificate {
	return a.Issue(harness.Subject{DNS: "thymus", IP: "127.0.0.1", URI: id})
}

const byPeer = `package policies.mesh

allow contains "peer" if input.peer.principal == "spiffe://cluster.local/ns/edge/sa/envoy"
`

func TestWithTLSTheProxyIsKnownByItsCertificate(t *testing.T) {
	a, stranger := harness.NewAuthority(t, "ca"), harness.NewAuthority(t, "ca")
	r := build(t, byPeer)
	server := &tls.Config{Certificates: []tls.Certificate{certificate(a, "spiffe://cluster.local/ns/shop/sa/thymus")}, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool(), MinVersion: tls.VersionTLS12}
	addr, err := r.mesh.Listen("127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	r.mesh.Start()
	const envoy = "spiffe://cluster.local/ns/edge/sa/envoy"
	for _, c := range []struct {
		name   string
		config *tls.Config
		answer string // permit, denial or none
	}{
		{"the proxy", &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{certificate(a, envoy)}}, "permit"},
		{"another one of the same authority", &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{certificate(a, "spiffe://cluster.local/ns/x/sa/y")}}, "denial"},
		{"nobody's certificate", &tls.Config{RootCAs: a.Pool()}, "none"},
		{"another authority's certificate", &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{certificate(stranger, envoy)}}, "none"},
		{"TLS 1.1", &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{certificate(a, envoy)}, MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, "none"},
	} {
		_, client := dialWith(t, addr.String(), credentials.NewTLS(c.config))
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		resp, err := client.Check(ctx, get("/x"))
		cancel()
		got := "none"
		switch {
		case err == nil && allowed(resp):
			got = "permit"
		case err == nil && denied(resp):
			got = "denial"
		}
		if got != c.answer {
			t.Errorf("%s: %s (%v), want %s", c.name, got, err, c.answer)
		}
	}
	_, plain := dial(t, addr.String())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if resp, err := plain.Check(ctx, get("/x")); err == nil {
		t.Errorf("without TLS: %v", resp)
	}
	silent, err := net.Dial("tcp", addr.String()) // and one that says nothing holds nobody up
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, client := dialWith(t, addr.String(), credentials.NewTLS(&tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{certificate(a, envoy)}}))
	if resp, err := client.Check(ctx, get("/x")); err != nil || !allowed(resp) {
		t.Errorf("beside a silent connection: %v %v", resp, err)
	}
}

func TestAUnixSocketHasItsModeAndKnowsWhoCalls(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux: a peer's uid")
	}
	path := filepath.Join(t.TempDir(), "s")
	me := uint32(os.Getuid())
	for _, c := range []struct {
		name   string
		uids   []uint32
		permit bool
	}{{"anybody", nil, true}, {"me", []uint32{me + 1, me}, true}, {"somebody else", []uint32{me + 1}, false}} {
		r := build(t, "package policies.p\nallow contains \"unix\" if {\n\tinput.peer.transport == \"unix\"\n\tinput.peer.uid >= 0\n}\n")
		if err := r.mesh.ListenUnix(extauthz.UnixOptions{Path: path, Mode: 0o620, UIDs: c.uids}); err != nil {
			t.Fatal(err)
		}
		r.mesh.Start()
		fi, err := os.Stat(path)
		if err != nil || fi.Mode().Perm() != 0o620 || fi.Mode()&fs.ModeSocket == 0 {
			t.Fatalf("%v %v", fi.Mode(), err)
		}
		_, client := dial(t, path)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		resp, err := client.Check(ctx, get("/x"))
		cancel()
		if permit := err == nil && allowed(resp); permit != c.permit || !c.permit && (err == nil || r.mesh.Counts().Refused == 0) {
			t.Errorf("%s: %v %v", c.name, resp, err)
		}
		if c.permit {
			if uid := at(r.recorded(), "peer", "uid"); uid != float64(me) {
				t.Errorf("%s: uid %v", c.name, uid)
			}
		}
		r.mesh.Close()
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the socket file is left: %v", c.name, err)
		}
	}
}

func TestHealthIsToldByServiceAndWatched(t *testing.T) {
	r := start(t, byAction)
	h := grpc_health_v1.NewHealthClient(r.conn)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, service := range []string{"", "envoy.service.auth.v3.Authorization"} {
		if resp, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service}); err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v %v", service, resp, err)
		}
	}
	if _, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "other"}); err == nil {
		t.Error("a service that there is not is healthy")
	}
	w, err := h.Watch(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if first, err := w.Recv(); err != nil || first.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("%v %v", first, err)
	}
	r.mesh.NotServing()
	if next, err := w.Recv(); err != nil || next.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Fatalf("%v %v", next, err)
	}
	if err := r.mesh.Drain(ctx); err != nil { // nor does a watcher hold the end up
		t.Fatal(err)
	}
	if _, err := w.Recv(); err == nil {
		t.Fatal("a watcher is told more after the end")
	}
}
