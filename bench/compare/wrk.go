package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"thymus/bench/load"
)

// wrkFigures are what wrk printed.
type wrkFigures struct {
	Rate float64 `json:"rate"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
	Bad  int     `json:"bad"` // answers that were not 2xx or 3xx
}

// runWrk asks a server the first of its questions over and over, as wrk does: nil where it cannot be asked so, or where
// there is no wrk.
func (s *settings) runWrk(ctx context.Context, v *server, dir string) *wrkFigures {
	if v.endpoint.Network != "tcp" || v.target == load.GRPC {
		return nil
	}
	head, body, _ := bytes.Cut(v.calls[0].Wire, []byte("\r\n\r\n"))
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	part := bytes.Fields(line)
	if len(part) < 2 {
		return nil
	}
	script := filepath.Join(dir, "wrk.lua")
	text := fmt.Sprintf("wrk.method = %q\nwrk.body = [==[%s]==]\nwrk.headers[\"Content-Type\"] = \"application/json\"\n", part[0], body)
	if os.WriteFile(script, []byte(text), 0o600) != nil {
		return nil
	}
	return s.wrkAt(ctx, "http://"+v.endpoint.Address+string(part[1]), s.duration, "-s", script)
}

// wrkAt runs wrk with one thread for whole seconds.
func (s *settings) wrkAt(ctx context.Context, url string, d time.Duration, args ...string) *wrkFigures {
	args = append([]string{"-t", "1", "-c", strconv.Itoa(s.connections), "-d", fmt.Sprintf("%ds", int(math.Ceil(d.Seconds()))), "--latency"}, append(args, url)...)
	out, err := exec.CommandContext(ctx, s.wrk, args...).Output()
	if err != nil {
		return nil
	}
	return readWrk(out)
}

var (
	wrkRate = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkAt   = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([\d.]+)(us|ms|s)\s*$`)
	wrkMax  = regexp.MustCompile(`(?m)^\s+Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)`)
	wrkBad  = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

// readWrk reads what wrk 4 prints; nil where that is something else.
func readWrk(out []byte) *wrkFigures {
	f := &wrkFigures{}
	number := func(b []byte) float64 { v, _ := strconv.ParseFloat(string(b), 64); return v }
	in := func(value, unit []byte) float64 {
		return number(value) * map[string]float64{"us": 1, "ms": 1e3, "s": 1e6}[string(unit)] / 1e3
	}
	m := wrkRate.FindSubmatch(out)
	if m == nil {
		return nil
	}
	f.Rate = number(m[1])
	for _, m := range wrkAt.FindAllSubmatch(out, -1) {
		if string(m[1]) == "50" {
			f.P50 = in(m[2], m[3])
		} else {
			f.P99 = in(m[2], m[3])
		}
	}
	if m := wrkMax.FindSubmatch(out); m != nil {
		f.Max = in(m[1], m[2])
	}
	if m := wrkBad.FindSubmatch(out); m != nil {
		f.Bad = int(number(m[1]))
	}
	return f
}
