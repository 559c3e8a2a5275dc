package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"thymus/bench/load"
	"thymus/bench/workload"
)

// contender is one who is measured.
type contender struct {
	name   string
	about  string
	needs  []string // languages; nobody can be asked who does not speak the case's
	target load.Target
	path   string
	judged bool     // it decides, and its answers are compared
	scenes []string // in which it takes part
	only   string   // the one workload that makes sense; empty: all
	start  starter
}

// starter makes a server's command, and what finds in a line of its output where it listens. The first line that it is
// shown is empty, for servers that are told where to listen.
type starter func(s *settings, dir string) (cmd *exec.Cmd, address func(line string) (at places, ok bool), err error)

// places are where a server listens.
type places struct {
	network, data string
	metrics       string // HOST:PORT with /metrics; empty: none
}

// Scenes. The open one lets the scheduler place all on all processors, as in a pod; pinned gives server and generator a
// processor each; ways asks one server in several ways; kafka has a broker on the same machine.
const (
	openScene   = ""
	pinnedScene = "pinned"
	waysScene   = "ways"
	kafkaScene  = "kafka"
)

// withKafka is who feeds the broker of the scene kafka.
const withKafka = "thymus, Kafka"

func contenders() []contender {
	all := []string{openScene, pinnedScene, waysScene, kafkaScene}
	rivals := []string{openScene, pinnedScene}
	return []contender{
		{name: "echo", about: "fasthttp with a fixed answer, decides nothing: the floor of HTTP", path: "/v1/evaluate", scenes: all, start: rival("serve-echo")},
		{name: "thymus", about: "POST /v1/evaluate, as it comes: detection on, every decision in the journal", needs: []string{workload.Thymus}, path: "/v1/evaluate",
			judged: true, scenes: all, start: sidecar("data")},
		{name: "opa", about: "opa run --server, POST /v1/data/bench/allow; decision log off (its default), log level error, telemetry off", needs: []string{workload.Rego},
			target: load.OPA, path: "/v1/data/bench/allow", judged: true, scenes: []string{openScene, pinnedScene, waysScene}, start: opa(false, "tcp")},
		{name: "cedar-go", about: "the library in a server of ours (fasthttp, encoding/json), nothing recorded", needs: []string{workload.Cedar},
			path: "/v1/evaluate", judged: true, scenes: rivals, start: rival("serve-cedar")},
		{name: "casbin", about: "the library in a server of ours (fasthttp, encoding/json), nothing recorded, no cache of decisions",
			needs: []string{workload.Casbin, workload.CasbinConf}, path: "/v1/evaluate", judged: true, scenes: rivals, start: rival("serve-casbin")},

		{name: "thymus, OPA's API", about: "POST /v1/data/bench/allow, the very policy files that OPA gets", needs: []string{workload.Rego}, target: load.OPA,
			path: "/v1/data/bench/allow", judged: true, scenes: []string{openScene, waysScene}, start: sidecar("data")},
		{name: "thymus, AuthZEN", about: "POST /access/v1/evaluation", needs: []string{workload.Thymus}, target: load.AuthZEN, judged: true,
			scenes: []string{waysScene}, start: sidecar("data")},
		{name: "thymus, Unix socket", about: "POST /v1/evaluate over a Unix socket", needs: []string{workload.Thymus}, path: "/v1/evaluate", judged: true,
			scenes: []string{waysScene}, start: sidecar("unix")},
		{name: "thymus, no detection", about: "every detector off, journal on", needs: []string{workload.Thymus}, path: "/v1/evaluate", judged: true,
			scenes: []string{waysScene}, start: sidecar("data", quiet...)},
		{name: "thymus, strict", about: "events.loss=strict: no record, no permit", needs: []string{workload.Thymus}, path: "/v1/evaluate", judged: true,
			scenes: []string{waysScene}, start: sidecar("data", "events.loss=strict")},
		{name: "opa, Unix socket", about: "the same OPA over a Unix socket", needs: []string{workload.Rego}, target: load.OPA, path: "/v1/data/bench/allow", judged: true,
			scenes: []string{waysScene}, start: opa(false, "unix")},
		{name: "opa, built -O 1", about: "OPA with a bundle that opa build -O 1 optimised", needs: []string{workload.Rego}, target: load.OPA, path: "/v1/data/bench/allow",
			judged: true, scenes: []string{waysScene}, start: opa(true, "tcp")},
		{name: withKafka, about: "as it comes, and every event delivered to Apache Kafka on the same processors, acks=all", needs: []string{workload.Thymus},
			path: "/v1/evaluate", judged: true, scenes: []string{kafkaScene}, start: sidecar("kafka")},

		{name: "thymus, HTTP ext_authz", about: "GET /ext_authz/forward, as Traefik and Caddy ask", needs: []string{workload.Thymus}, target: load.HTTP, judged: true,
			scenes: []string{openScene}, only: "proxy", start: sidecar("data", identity...)},
		{name: "thymus, gRPC", about: "Envoy's Check over gRPC", needs: []string{workload.Thymus}, target: load.GRPC, judged: true, scenes: []string{openScene}, only: "proxy",
			start: sidecar("extauthz", append([]string{"extauthz.listen=127.0.0.1:0"}, identity...)...)},
		{name: "gRPC echo", about: "grpc-go with a fixed answer, decides nothing: the floor of gRPC", target: load.GRPC, scenes: []string{openScene}, only: "proxy",
			start: rival("serve-grpc-echo")},
	}
}

// identity lets a sidecar read who asks from the headers that the generator sends.
var identity = []string{"extauthz.identity=header:" + load.SubjectHeader, "extauthz.role_header=" + load.RoleHeader}

// quiet turns every detector off.
var quiet = []string{"detect.denials.enabled=false", "detect.probing.enabled=false", "detect.slow_probing.enabled=false", "detect.role_change.enabled=false",
	"detect.first_seen.enabled=false", "detect.path_confusion.enabled=false", "detect.errors.enabled=false", "detect.latency.enabled=false", "detect.pressure.enabled=false", "detect.rate.enabled=false"}

// takesPart says whether it stands in a case.
func (c *contender) takesPart(w *workload.Workload, scene string) bool {
	return slices.Contains(c.scenes, scene) && (c.only == "" || c.only == w.Name)
}

// rival is this program as one of the small servers.
func rival(kind string) starter {
	return func(_ *settings, dir string) (*exec.Cmd, func(string) (places, bool), error) {
		self, err := os.Executable()
		return exec.Command(self, kind, "--dir", dir), func(line string) (places, bool) {
			at, ok := strings.CutPrefix(line, "at ")
			p := places{network: "tcp", data: at}
			if kind != "serve-grpc-echo" {
				p.metrics = at
			}
			return p, ok
		}, err
	}
}

// sidecar is Thymus, asked on one of its planes.
func sidecar(plane string, sets ...string) starter {
	return func(s *settings, dir string) (*exec.Cmd, func(string) (places, bool), error) {
		ring, err := os.MkdirTemp(memory(), "compare")
		if err != nil {
			return nil, nil, err
		}
		socket := filepath.Join(ring, "s")
		args := []string{"serve", "--set", "dir=" + filepath.Join(dir, ".state"), "--set", "data.listen=127.0.0.1:0", "--set", "management.listen=",
			"--set", "diagnostics.listen=127.0.0.1:0", "--set", "policies.watch=false", "--set", "events.ring.path=" + ring}
		switch plane {
		case "unix":
			args = append(args, "--set", "data.socket="+socket)
		case "kafka":
			if s.brokers == "" {
				return nil, nil, errNoKafka
			}
			args = append(args, "--set", "events.kafka.brokers="+s.brokers)
		}
		for _, set := range sets {
			args = append(args, "--set", set)
		}
		return exec.Command(s.thymus, append(args, dir)...), func(line string) (places, bool) {
			p, ok := ready(line, plane)
			if plane == "unix" {
				p.network, p.data = "unix", socket
			}
			return p, ok
		}, nil
	}
}

// ready finds in Thymus' ready line where it listens.
func ready(line, plane string) (places, bool) {
	var r struct{ Message, Data, Extauthz, Diagnostics string }
	if json.Unmarshal([]byte(line), &r) != nil || r.Message != "ready" {
		return places{}, false
	}
	p := places{network: "tcp", data: r.Data, metrics: r.Diagnostics}
	if plane == "extauthz" {
		p.data = r.Extauthz
	}
	return p, true
}

// opa is OPA's own server, with a bundle that it optimised or with the policy as it is.
func opa(optimised bool, network string) starter {
	return func(s *settings, dir string) (*exec.Cmd, func(string) (places, bool), error) {
		metrics := freePort()
		at, listen := places{network: network, data: metrics, metrics: metrics}, []string{"--addr", metrics}
		if network == "unix" {
			at.data = filepath.Join(dir, "s.sock")
			listen = append(listen, "--addr", "unix://"+at.data)
		}
		args := append([]string{"run", "--server", "--disable-telemetry", "--log-level", "error"}, listen...)
		if optimised {
			bundle := filepath.Join(dir, "bundle.tar.gz")
			if out, err := exec.Command(s.opa, "build", "-O", "1", "-e", "bench/allow", "-o", bundle, dir).CombinedOutput(); err != nil {
				return nil, nil, fmt.Errorf("opa build: %w: %s", err, out)
			}
			args = append(args, "-b", bundle)
		} else {
			args = append(args, dir)
		}
		return exec.Command(s.opa, args...), func(string) (places, bool) { return at, true }, nil
	}
}

// memory is a folder in memory, where a ring belongs.
func memory() string {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// freePort is an address that nobody listens on now.
func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:18181"
	}
	defer l.Close()
	return l.Addr().String()
}

// Why a contender does not take part in a case.
var (
	errNotSaid = errors.New("the case cannot be said in its language")
	errNoKafka = errors.New("no Kafka was started")
)
