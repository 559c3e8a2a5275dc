package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"thymus/bench/load"
	"thymus/bench/workload"
)

// settings of a measurement.
type settings struct {
	thymus      string
	rules       int
	rounds      int
	connections int
	duration    time.Duration
	rate        float64
}

func main() {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "serve-") {
		fail(serve(strings.TrimPrefix(os.Args[1], "serve-"), strings.Join(os.Args[2:], "")))
		return
	}
	s := settings{}
	flag.StringVar(&s.thymus, "thymus", "bin/thymus", "`binary`")
	flag.IntVar(&s.rules, "rules", 100, "of the policy")
	flag.IntVar(&s.rounds, "rounds", 5, "how often each is measured, in turns")
	flag.IntVar(&s.connections, "connections", 64, "kept open, one call at a time on each")
	flag.DurationVar(&s.duration, "duration", 3*time.Second, "of one measurement")
	flag.Float64Var(&s.rate, "rate", 4000, "calls a second at which latencies are taken, of all alike")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fail(s.run(ctx, os.Stdout))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "mesh:", err)
		os.Exit(1)
	}
}

// server is one who is measured.
type server struct {
	name   string
	judged bool
	argv   []string
	addr   func(line string) (string, bool)

	cmd      *exec.Cmd
	calls    []load.Call
	endpoint load.Endpoint

	rate, cpu, p50, p99, full99 []float64 // one a round; latencies in ms, CPU in µs a call
}

// asPlugin is the workload's policy as one writes it for opa-envoy-plugin.
func asPlugin(rego string) string {
	return strings.NewReplacer("input.subject.properties.role", `input.attributes.request.http.headers["`+load.RoleHeader+`"]`,
		"input.action.name", "input.attributes.request.http.method", "input.resource.id", "input.attributes.request.http.path").Replace(rego)
}

func (s *settings) servers(dir, ring string, w *workload.Workload) ([]*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"own", "plugin"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	for _, f := range w.Policies[workload.Thymus] {
		if err := os.WriteFile(filepath.Join(dir, "own", f.Name), []byte(f.Text), 0o600); err != nil {
			return nil, err
		}
	}
	rego := filepath.Join(dir, "plugin", "policy.rego")
	if err := os.WriteFile(rego, []byte(asPlugin(w.Policies[workload.Rego][0].Text)), 0o600); err != nil {
		return nil, err
	}
	own := func(line string) (string, bool) { return line, true }
	sidecar := func(name, policies string, more ...string) *server {
		argv := []string{s.thymus, "serve", "--set", "dir=" + filepath.Join(dir, strings.ReplaceAll(name, " ", "")), "--set", "events.ring.path=" + ring, "--set", "data.listen=127.0.0.1:0",
			"--set", "management.listen=", "--set", "extauthz.listen=127.0.0.1:0", "--set", "policies.watch=false", "--set", "policies.builtin=false",
			"--set", "data.deadline=2s"} // a machine that is busy with the measurement must not decide
		for _, m := range more {
			argv = append(argv, "--set", m)
		}
		return &server{name: name, judged: true, argv: append(argv, policies), addr: ready}
	}
	plugin := "extauthz.entrypoint=bench/allow"
	return []*server{
		{name: "echo", argv: []string{self, "serve-echo"}, addr: own},
		sidecar("thymus, own policy", filepath.Join(dir, "own"), "extauthz.identity=header:"+load.SubjectHeader, "extauthz.role_header="+load.RoleHeader),
		sidecar("thymus, plugin's policy", filepath.Join(dir, "plugin"), plugin),
		sidecar("thymus, topdown", filepath.Join(dir, "plugin"), plugin, "rules.engine=topdown"),
		{name: "OPA as the plugin", judged: true, argv: []string{self, "serve-opa", rego}, addr: own},
	}, nil
}

// ready finds the gRPC listener in Thymus' ready line.
func ready(line string) (string, bool) {
	var r map[string]any
	if json.Unmarshal([]byte(line), &r) != nil || r["message"] != "ready" {
		return "", false
	}
	at, ok := r["extauthz"].(string)
	return at, ok
}

// start runs a server and waits until it says where it listens.
func (v *server) start(w *workload.Workload) error {
	v.cmd = exec.Command(v.argv[0], v.argv[1:]...)
	v.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	r, out, err := os.Pipe()
	if err != nil {
		return err
	}
	v.cmd.Stdout, v.cmd.Stderr = out, out
	if err := v.cmd.Start(); err != nil {
		return err
	}
	_ = out.Close()
	lines := bufio.NewScanner(r)
	var said strings.Builder
	for lines.Scan() {
		if at, ok := v.addr(lines.Text()); ok {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			if v.endpoint, err = load.ParseEndpoint("grpc://" + at); err != nil {
				return err
			}
			e := &load.Encoder{Target: load.GRPC, Endpoint: v.endpoint}
			v.calls, err = e.Calls(w.Requests, v.judged)
			return err
		}
		said.WriteString(lines.Text() + "\n")
	}
	return errors.New(v.name + " ended before it listened: " + said.String())
}

func (v *server) stop() {
	if v.cmd != nil && v.cmd.Process != nil {
		_ = v.cmd.Process.Signal(syscall.SIGTERM)
		_ = v.cmd.Wait()
	}
}

// spent is the processor time that the server used, in seconds.
func (v *server) spent() float64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(v.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100 // USER_HZ
}

// round measures once: as fast as it goes, then at the rate that all are asked at.
func (v *server) round(ctx context.Context, s *settings) error {
	o := load.Options{Endpoint: v.endpoint, Target: load.GRPC, Calls: v.calls, Connections: s.connections, Duration: s.duration}
	o.Warmup = s.duration / 4
	before := v.spent()
	full, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	took := v.spent() - before // the warm-up is in it, and counted as long
	o.Rate = s.rate
	at, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	if n := full.Wrong + full.Errors + at.Wrong + at.Errors; n > 0 {
		return fmt.Errorf("%s: %d wrong, %d errors %v", v.name, full.Wrong+at.Wrong, full.Errors+at.Errors, full.Faults)
	}
	v.rate, v.full99 = append(v.rate, full.Rate), append(v.full99, full.Latency.P99)
	v.cpu = append(v.cpu, took*1e6/(full.Rate*(s.duration+o.Warmup).Seconds()))
	v.p50, v.p99 = append(v.p50, at.Latency.P50), append(v.p99, at.Latency.P99)
	return nil
}

func (s *settings) run(ctx context.Context, out io.Writer) error {
	w, err := workload.Make("proxy", s.rules, 4096, 1)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mesh")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ring, err := os.MkdirTemp("/dev/shm", "mesh") // on tmpfs, as the ring is by default
	if err != nil {
		ring = dir
	}
	defer os.RemoveAll(ring)
	all, err := s.servers(dir, ring, w)
	if err != nil {
		return err
	}
	for _, v := range all {
		defer v.stop()
		if err := v.start(w); err != nil {
			return err
		}
	}
	for range s.rounds {
		for _, v := range all {
			if err := v.round(ctx, s); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(out, "Check of %d rules over gRPC, %d connections, %d rounds in turns; medians, and of latencies the least of the rounds, since whatever else the machine does only adds to them; the last two columns at %.0f calls a second.\n\n",
		s.rules, s.connections, s.rounds, s.rate)
	fmt.Fprintf(out, "| | calls/s | of the echo | CPU, µs a call | p99 then, ms | p50, ms | p99, ms |\n|---|---|---|---|---|---|---|\n")
	floor := median(all[0].rate)
	for _, v := range all {
		fmt.Fprintf(out, "| %s | %.0f | %.2f | %.1f | %.2f | %.2f | %.2f |\n", v.name, median(v.rate), median(v.rate)/floor, median(v.cpu),
			slices.Min(v.full99), slices.Min(v.p50), slices.Min(v.p99))
	}
	return nil
}

func median(vs []float64) float64 {
	vs = slices.Sorted(slices.Values(vs))
	return (vs[len(vs)/2] + vs[(len(vs)-1)/2]) / 2
}
