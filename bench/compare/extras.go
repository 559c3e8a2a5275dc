package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"thymus/bench/load"
	"thymus/bench/workload"
)

// stall is what one tool shows of a server that stands still for 100 ms of each second.
type stall struct {
	Tool string  `json:"tool"`
	Rate float64 `json:"rate"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
}

// idle is what a server costs that nobody asks.
type idle struct {
	Name string  `json:"name"`
	CPU  float64 `json:"cpu"` // of one processor
	RSS  float64 `json:"rss"` // MiB, before the first question
}

// disk is how large a program is.
type disk struct {
	Name string  `json:"name"`
	Size float64 `json:"size"` // MB
}

func (s *settings) measureExtras(ctx context.Context, r *results) {
	for _, b := range [][2]string{{"thymus", s.thymus}, {"opa", s.opa}} {
		if st, err := os.Stat(b[1]); err == nil {
			r.Disk = append(r.Disk, disk{b[0], float64(st.Size()) / 1e6})
		}
	}
	if err := s.measureIdle(ctx, r); err != nil {
		r.NotDone = append(r.NotDone, "idle time: "+err.Error())
	}
	if err := s.measureStall(ctx, r); err != nil {
		r.NotDone = append(r.NotDone, "the server that stalls: "+err.Error())
	}
}

func (s *settings) measureIdle(ctx context.Context, r *results) error {
	w, err := workload.Make("rbac", 100, 16, 1)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const span = 5 * time.Second
	for i, c := range contenders() {
		if c.name != "thymus" && c.name != "opa" {
			continue
		}
		v, err := c.launch(ctx, s, w, filepath.Join(dir, strconv.Itoa(i)), -1)
		if err != nil {
			return err
		}
		pause(ctx, time.Second) // what a start leaves to be done
		before, rss := v.used()
		pause(ctx, span)
		after, _ := v.used()
		v.stop()
		r.Idle = append(r.Idle, idle{c.name, (after - before) / span.Seconds(), float64(rss) / (1 << 20)})
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// stalling answers at once, but for the first tenth of each second not at all.
func stalling() fasthttp.RequestHandler {
	began := time.Now()
	return func(c *fasthttp.RequestCtx) {
		if into := time.Since(began) % time.Second; into < 100*time.Millisecond {
			time.Sleep(100*time.Millisecond - into) // the stall
		}
		echo(c)
	}
}

func (s *settings) measureStall(ctx context.Context, r *results) error {
	w, err := workload.Make("rbac", 100, 16, 1)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := contender{name: "stall", path: "/v1/evaluate", start: rival("serve-stall")}
	v, err := c.launch(ctx, s, w, dir, -1)
	if err != nil {
		return err
	}
	defer v.stop()
	o := load.Options{Endpoint: v.endpoint, Calls: v.calls, Connections: s.connections, Duration: 5 * time.Second}
	closed, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	o.Rate = 2000
	open, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	add := func(tool string, rate float64, l load.Latency) {
		r.Stall = append(r.Stall, stall{tool, rate, l.P50, l.P99, l.Max})
	}
	add("thymus bench --rate 2000", open.Rate, open.Latency)
	add("the same, counted from the write", open.Rate, open.Service)
	add("thymus bench --rate 0, a closed loop", closed.Rate, closed.Latency)
	if f := s.wrkAt(ctx, "http://"+v.endpoint.Address+"/v1/evaluate", 5*time.Second); f != nil {
		r.Stall = append(r.Stall, stall{"wrk -t 1 -c " + strconv.Itoa(s.connections), f.Rate, f.P50, f.P99, f.Max})
	} else {
		r.NotDone = append(r.NotDone, "wrk: not here, or not understood")
	}
	return ctx.Err()
}

// selfTime is the processor time of this process, in seconds.
func selfTime() float64 { return rusage(unix.RUSAGE_SELF) }

// ours is the processor time of this process and of all that it started and that have ended.
func ours() float64 { return rusage(unix.RUSAGE_SELF) + rusage(unix.RUSAGE_CHILDREN) }

func rusage(who int) float64 {
	var u unix.Rusage
	if unix.Getrusage(who, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// busyTime is how long the machine's processors were busy since it started, all together, in seconds.
func busyTime() (seconds float64) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 8 { // its name, idle, waiting; guests are in user
			continue
		}
		v, _ := strconv.ParseFloat(f, 64)
		seconds += v / 100 // USER_HZ
	}
	return seconds
}

func processors() int { return runtime.NumCPU() }
