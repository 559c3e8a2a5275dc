package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// server is a contender that runs.
type server struct {
	*contender
	cmd      *exec.Cmd
	endpoint load.Endpoint
	metrics  string
	calls    []load.Call
	output   bytes.Buffer
	exited   chan error
	startup  time.Duration
	ring     string // folder to be removed with it
}

// launch starts a contender with a case's policy below dir, on a processor if cpu is one, and waits until it answers.
func (c *contender) launch(ctx context.Context, s *settings, w *workload.Workload, dir string, cpu int) (*server, error) {
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
	cmd, address, err := c.start(s, dir)
	if err != nil {
		return nil, err
	}
	for _, a := range cmd.Args {
		if ring, ok := strings.CutPrefix(a, "events.ring.path="); ok {
			v.ring = ring
		}
	}
	if cpu >= 0 {
		path, err := exec.LookPath("taskset")
		if err != nil {
			return nil, err
		}
		cmd.Args = append([]string{"taskset", "-c", strconv.Itoa(cpu), cmd.Path}, cmd.Args[1:]...)
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
	found := make(chan places, 1)
	go v.listen(out, address, found)
	if a, ok := address(""); ok && a.data != "" { // it was told where to listen
		found <- a
	}
	select {
	case a := <-found:
		v.endpoint, v.metrics = load.Endpoint{Network: a.network, Address: a.data, GRPC: c.target == load.GRPC}, a.metrics
	case err := <-v.exited:
		v.forget()
		return nil, fmt.Errorf("ended at once: %v: %s", err, v.output.String())
	case <-time.After(5 * time.Minute):
		v.stop()
		return nil, errors.New("did not say where it listens")
	case <-ctx.Done():
		v.stop()
		return nil, ctx.Err()
	}
	e := &load.Encoder{Target: c.target, Endpoint: v.endpoint, Path: c.path, Header: http.Header{}}
	if v.calls, err = e.Calls(w.Requests, c.judged); err == nil {
		v.startup, err = v.wait(ctx, began)
	}
	if err != nil {
		v.stop()
		return nil, err
	}
	return v, nil
}

// listen looks in a server's output for where it listens, and keeps some of the rest.
func (v *server) listen(out io.Reader, address func(string) (places, bool), found chan<- places) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if a, ok := address(lines.Text()); ok && lines.Text() != "" {
			select {
			case found <- a:
			default:
			}
		} else if v.output.Len() < 4096 {
			v.output.WriteString(lines.Text() + "\n")
		}
	}
	_, _ = io.Copy(io.Discard, out)
}

// wait asks until the first answer, and says how long after a moment that came.
func (v *server) wait(ctx context.Context, began time.Time) (time.Duration, error) {
	var err error
	for until := began.Add(5 * time.Minute); time.Now().Before(until); {
		asked := time.Now()
		var r *load.Result
		if r, err = load.Run(ctx, load.Options{Endpoint: v.endpoint, Target: v.target, Calls: v.calls, Connections: 1, Duration: 20 * time.Millisecond}); err == nil && r.OK+r.Wrong > 0 {
			return asked.Sub(began) + time.Duration(r.Latency.P50*1e6), nil
		}
		select {
		case e := <-v.exited:
			v.exited <- e
			return 0, fmt.Errorf("ended: %v: %s", e, v.output.String())
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	if err == nil {
		err = errors.New("no answer was a decision")
	}
	return 0, err
}

func (v *server) stop() {
	_ = v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.exited:
	case <-time.After(10 * time.Second):
		_ = v.cmd.Process.Kill()
		<-v.exited
	}
	v.forget()
}

func (v *server) forget() {
	if v.ring != "" {
		os.RemoveAll(v.ring)
	}
}

// used is the processor time that a process has used, in seconds, and its resident memory in bytes.
func used(pid int) (seconds float64, rss int64) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if text, err := os.ReadFile(filepath.Join(proc, "stat")); err == nil {
		if i := bytes.LastIndexByte(text, ')'); i > 0 {
			if f := strings.Fields(string(text[i+1:])); len(f) > 12 {
				user, _ := strconv.ParseFloat(f[11], 64)
				system, _ := strconv.ParseFloat(f[12], 64)
				seconds = (user + system) / 100 // USER_HZ
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(proc, "statm")); err == nil {
		if f := strings.Fields(string(text)); len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64)
			rss = pages * int64(os.Getpagesize())
		}
	}
	return seconds, rss
}

func (v *server) used() (seconds float64, rss int64) { return used(v.cmd.Process.Pid) }

// mallocs is how many objects the server's Go heap has given out; ok is false where it does not tell.
func (v *server) mallocs() (n float64, ok bool) {
	if v.metrics == "" {
		return 0, false
	}
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + v.metrics + "/metrics")
	if err != nil {
		return 0, false
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "go_memstats_mallocs_total "); found {
			n, err = strconv.ParseFloat(value, 64)
			return n, err == nil
		}
	}
	return 0, false
}
