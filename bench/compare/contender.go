package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

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
	judged bool   // it decides, and its answers are compared
	only   string // the one workload that makes sense; empty: all
	start  func(s *settings, dir string) (*exec.Cmd, func(line string) (addr string, ok bool))
}

func contenders(s *settings) []contender {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	rival := func(kind string) func(*settings, string) (*exec.Cmd, func(string) (string, bool)) {
		return func(_ *settings, dir string) (*exec.Cmd, func(string) (string, bool)) {
			return exec.Command(self, kind, "--dir", dir), func(line string) (string, bool) { return line, true }
		}
	}
	sidecar := func(s *settings, dir string) (*exec.Cmd, func(string) (string, bool)) {
		return exec.Command(s.thymus, "serve", "--set", "dir="+filepath.Join(dir, ".state"), "--set", "data.listen=127.0.0.1:0", "--set", "management.listen=",
			"--set", "policies.watch=false", dir), ready
	}
	return []contender{
		{name: "echo", about: "fasthttp with a fixed answer: the floor of HTTP", path: "/v1/evaluate", start: rival("serve-echo")},
		{name: "thymus", about: "POST /v1/evaluate, journal on", needs: []string{workload.Thymus}, path: "/v1/evaluate", judged: true, start: sidecar},
		{name: "thymus OPA API", about: "POST /v1/data/bench/allow with OPA's own policy, journal on", needs: []string{workload.Rego}, target: load.OPA,
			path: "/v1/data/bench/allow", judged: true, start: sidecar},
		{name: "opa", about: "opa run --server, POST /v1/data/bench/allow, no decision log", needs: []string{workload.Rego}, target: load.OPA,
			path: "/v1/data/bench/allow", judged: true, start: func(s *settings, dir string) (*exec.Cmd, func(string) (string, bool)) {
				addr := freePort()
				return exec.Command(s.opa, "run", "--server", "--disable-telemetry", "--addr", addr, "--log-level", "error", dir),
					func(string) (string, bool) { return addr, true }
			}},
		{name: "cedar-go", about: "the library in a server of ours (fasthttp, encoding/json), nothing recorded", needs: []string{workload.Cedar},
			path: "/v1/evaluate", judged: true, start: rival("serve-cedar")},
		{name: "casbin", about: "the library in a server of ours (fasthttp, encoding/json), nothing recorded", needs: []string{workload.Casbin, workload.CasbinConf},
			path: "/v1/evaluate", judged: true, start: rival("serve-casbin")},
		{name: "thymus gRPC", about: "Envoy's Check over gRPC, journal on", needs: []string{workload.Thymus}, target: load.GRPC, judged: true, only: "proxy",
			start: func(s *settings, dir string) (*exec.Cmd, func(string) (string, bool)) {
				cmd, _ := sidecar(s, dir)
				cmd.Args = append(cmd.Args[:len(cmd.Args)-1], "--set", "extauthz.listen=127.0.0.1:0", "--set", "extauthz.identity=header:"+load.SubjectHeader,
					"--set", "extauthz.role_header="+load.RoleHeader, dir)
				return cmd, func(line string) (string, bool) { return readyAt(line, "extauthz") }
			}},
		{name: "gRPC echo", about: "grpc-go with a fixed answer: the floor of gRPC ext_authz", target: load.GRPC, only: "proxy", start: rival("serve-grpc-echo")},
	}
}

// ready finds the data plane's address in Thymus' ready line.
func ready(line string) (string, bool) { return readyAt(line, "data") }

// readyAt finds a plane's address there.
func readyAt(line, plane string) (string, bool) {
	var r map[string]any
	if json.Unmarshal([]byte(line), &r) != nil || r["message"] != "ready" {
		return "", false
	}
	at, ok := r[plane].(string)
	return at, ok
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

// errNotSaid is why a contender does not take part in a case.
var errNotSaid = errors.New("the case cannot be said in its language")

// server is a contender that runs.
type server struct {
	*contender
	cmd      *exec.Cmd
	endpoint load.Endpoint
	calls    []load.Call
	output   bytes.Buffer
	exited   chan error
	startup  time.Duration
}

// launch starts a contender with a case's policy below dir, and waits until it answers.
func (c *contender) launch(ctx context.Context, s *settings, w *workload.Workload, dir string) (*server, error) {
	if c.only != "" && c.only != w.Name {
		return nil, errNotSaid
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, language := range c.needs {
		fs := w.Policies[language]
		if len(fs) == 0 {
			return nil, errNotSaid
		}
		for _, f := range fs {
			if err := os.WriteFile(filepath.Join(dir, f.Name), []byte(f.Text), 0o644); err != nil {
				return nil, err
			}
		}
	}
	v := &server{contender: c, exited: make(chan error, 1)}
	cmd, address := c.start(s, dir)
	if s.serverCPUs != "" {
		cmd.Args = append([]string{"taskset", "-c", s.serverCPUs, cmd.Path}, cmd.Args[1:]...)
		path, err := exec.LookPath("taskset")
		if err != nil {
			return nil, err
		}
		cmd.Path = path
	}
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	v.cmd = cmd
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { v.exited <- cmd.Wait(); in.Close() }()
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if a, ok := address(lines.Text()); ok {
				select {
				case found <- a:
				default:
				}
			} else if v.output.Len() < 4096 {
				v.output.WriteString(lines.Text() + "\n")
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	if a, ok := address(""); ok && a != "" { // it was told where to listen
		found <- a
	}
	select {
	case a := <-found:
		v.endpoint = load.Endpoint{Network: "tcp", Address: a, GRPC: c.target == load.GRPC}
	case err := <-v.exited:
		return nil, fmt.Errorf("ended at once: %v: %s", err, v.output.String())
	case <-time.After(time.Minute):
		v.stop()
		return nil, errors.New("did not say where it listens")
	}
	var err error
	e := &load.Encoder{Target: c.target, Endpoint: v.endpoint, Path: c.path, Header: http.Header{}}
	if v.calls, err = e.Calls(w.Requests, c.judged); err == nil {
		err = v.wait(ctx)
	}
	if v.startup = time.Since(began); err != nil {
		v.stop()
		return nil, err
	}
	return v, nil
}

// wait asks until the first answer.
func (v *server) wait(ctx context.Context) error {
	var err error
	for range 600 {
		var r *load.Result
		if r, err = load.Run(ctx, load.Options{Endpoint: v.endpoint, Target: v.target, Calls: v.calls, Connections: 1, Duration: 20 * time.Millisecond}); err == nil && r.OK+r.Wrong > 0 {
			return nil
		}
		select {
		case e := <-v.exited:
			v.exited <- e
			return fmt.Errorf("ended: %v: %s", e, v.output.String())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err == nil {
		err = errors.New("no answer was a decision")
	}
	return err
}

func (v *server) stop() {
	_ = v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.exited:
	case <-time.After(10 * time.Second):
		_ = v.cmd.Process.Kill()
		<-v.exited
	}
}

// cpu is the processor time that the server has used, in seconds, and its resident memory in bytes.
func (v *server) cpu() (seconds float64, rss int64) {
	pid := strconv.Itoa(v.cmd.Process.Pid)
	if text, err := os.ReadFile(filepath.Join("/proc", pid, "stat")); err == nil {
		if i := bytes.LastIndexByte(text, ')'); i > 0 {
			if f := strings.Fields(string(text[i+1:])); len(f) > 12 {
				user, _ := strconv.ParseFloat(f[11], 64)
				system, _ := strconv.ParseFloat(f[12], 64)
				seconds = (user + system) / 100 // USER_HZ
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join("/proc", pid, "statm")); err == nil {
		if f := strings.Fields(string(text)); len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64)
			rss = pages * int64(os.Getpagesize())
		}
	}
	return seconds, rss
}
