package load_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/bench/load"
	"thymus/bench/workload"
	"thymus/test/harness"
)

// sidecar is a running Thymus.
type sidecar struct {
	data, extauthz load.Endpoint
	sockets        string // folder of data.sock and grpc.sock
}

// start builds Thymus and starts it with a workload's policy, in its own form and in OPA's.
func start(t *testing.T, w *workload.Workload) *sidecar {
	t.Helper()
	dir := t.TempDir()
	binary, err := harness.Build(dir, "thymus")
	must(t, err)
	policies := filepath.Join(dir, "policies")
	for _, language := range [...]string{workload.Thymus, workload.Rego} {
		for _, f := range w.Policies[language] {
			harness.Write(t, filepath.Join(policies, f.Name), f.Text)
		}
	}
	cmd := exec.Command(binary, "serve", "--set", "dir="+filepath.Join(dir, "state"), "--set", "events.ring.path="+dir, "--set", "events.ring.size=4MiB",
		"--set", "data.deadline=5s", "--set", "data.listen=127.0.0.1:0", "--set", "data.socket="+filepath.Join(dir, "data.sock"), "--set", "management.listen=",
		"--set", "extauthz.listen=127.0.0.1:0", "--set", "extauthz.socket="+filepath.Join(dir, "grpc.sock"),
		"--set", "extauthz.identity=header:"+load.SubjectHeader, "--set", "extauthz.role_header="+load.RoleHeader, policies)
	p := harness.Start(t, cmd)
	t.Cleanup(p.Stop)
	return &sidecar{
		data:     load.Endpoint{Network: "tcp", Address: p.Addr("data")},
		extauthz: load.Endpoint{Network: "tcp", Address: p.Addr("extauthz"), GRPC: true},
		sockets:  dir,
	}
}

// TestARunningThymusIsAskedInEveryDialect asks it questions that its policy answers as the oracle does, questions of a
// larger policy than it was given, part of which it must get wrong, and questions that it cannot answer.
func TestARunningThymusIsAskedInEveryDialect(t *testing.T) {
	questions := func(size int) *workload.Workload {
		w, err := workload.Make("proxy", size, 500, 3)
		must(t, err)
		return w
	}
	// The smaller policy is the larger one's beginning: what only the larger permits, the sidecar denies.
	small, large := questions(20), questions(30)
	lies, all := make([]bool, len(large.Requests)), 0
	for i, r := range large.Requests {
		for _, service := range [...]string{"service_10/", "service_11/", "service_12/", "service_13/", "service_14/"} {
			if r.Allow && strings.Contains(r.Resource, service) {
				lies[i] = true
				all++
			}
		}
	}
	if all < 50 || all > 400 {
		t.Fatalf("%d of %d questions tell the policies apart", all, len(large.Requests))
	}
	s := start(t, small)
	unix := func(name string, grpc bool) load.Endpoint {
		return load.Endpoint{Network: "unix", Address: filepath.Join(s.sockets, name), GRPC: grpc}
	}
	for _, c := range []struct {
		name   string
		target load.Target
		tcp    load.Endpoint
		unix   load.Endpoint
		path   string
		broken string // a path, or of gRPC a server, that has no decision to give
	}{
		{"native", load.Native, s.data, unix("data.sock", false), "", "/v1/nothing"},
		{"AuthZEN", load.AuthZEN, s.data, unix("data.sock", false), "", "/access/v2"},
		{"OPA's Data API", load.OPA, s.data, unix("data.sock", false), "", "/v1/dat"},
		{"ext_authz as Traefik and Caddy ask", load.HTTP, s.data, unix("data.sock", false), "", "/nothing"},
		{"ext_authz as nginx asks", load.HTTP, s.data, unix("data.sock", false), "/ext_authz/nginx", "/nginx"},
		{"ext_authz as Envoy asks over HTTP", load.HTTP, s.data, unix("data.sock", false), "/ext_authz/envoy", "/envoy"},
		{"ext_authz over gRPC", load.GRPC, s.extauthz, unix("grpc.sock", true), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			// ask goes through all questions, more than once as a rule. They are asked in turn from the second on, so that the
			// number of answers says which of them are lies.
			ask := func(e load.Endpoint, path string, w *workload.Workload) *load.Result {
				cs, err := (&load.Encoder{Target: c.target, Endpoint: e, Path: path}).Calls(w.Requests, true)
				must(t, err)
				o := load.Options{Endpoint: e, Target: c.target, Calls: cs, Connections: 8, Duration: 200 * time.Millisecond, Timeout: 30 * time.Second}
				for ; o.Duration < time.Minute; o.Duration *= 2 {
					if r := run(t, o); r.Sent >= uint64(len(cs)) {
						return r
					}
				}
				t.Fatalf("%s: fewer than %d questions in %s", e, len(cs), o.Duration/2)
				return nil
			}
			for _, e := range []load.Endpoint{c.tcp, c.unix} {
				if r := ask(e, c.path, small); r.OK != r.Sent {
					t.Errorf("%s: ok %d of %d, wrong %d, errors %v", e, r.OK, r.Sent, r.Wrong, r.Faults)
				}
				r := ask(e, c.path, large)
				wrong := uint64(0)
				for i := range r.Sent {
					if lies[(i+1)%uint64(len(lies))] {
						wrong++
					}
				}
				if r.Wrong != wrong || r.Errors > 0 || r.OK != r.Sent-wrong {
					t.Errorf("%s: wrong %d of %d, errors %v, expected %d lies and nothing else", e, r.Wrong, r.Sent, r.Faults, wrong)
				}
			}
			if c.target == load.GRPC {
				if r := ask(s.data, "", small); r.Faults["transport"] == 0 || r.OK > 0 || r.Wrong > 0 {
					t.Errorf("where nobody speaks gRPC: ok %d, wrong %d, errors %v", r.OK, r.Wrong, r.Faults)
				}
			} else if r := ask(c.tcp, c.broken, small); r.Errors != r.Sent || r.Faults["status"]+r.Faults["malformed"] != r.Sent {
				t.Errorf("%s: ok %d, wrong %d, errors %v, expected errors alone", c.broken, r.OK, r.Wrong, r.Faults)
			}
		})
	}
}
