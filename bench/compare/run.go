package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"thymus/bench/load"
	"thymus/bench/workload"
)

// sample is one measurement of one contender: as fast as it goes, then at half of that.
type sample struct {
	rate    float64 // decisions a second, closed loop
	cpu     float64 // seconds of the server's processor time for a million decisions, closed loop
	rss     float64 // MiB afterwards
	p99full float64 // ms, closed loop
	half    *load.Result
	wrong   uint64
	errors  uint64
}

// entry is what is known of a contender in a case.
type entry struct {
	*contender
	why     string // it did not take part
	startup time.Duration
	samples []sample
}

// outcome is a case with what came of it.
type outcome struct {
	name    string
	size    int
	allowed float64
	entries []*entry
}

func (s *settings) run(ctx context.Context) error {
	if (s.clientCPU >= 0) != (s.serverCPUs != "") { // servers would inherit the generator's processor
		return fmt.Errorf("--server-cpus and --client-cpu: expected both or neither")
	}
	if s.clientCPU >= 0 {
		if err := pin(s.clientCPU); err != nil {
			return fmt.Errorf("--client-cpu: %w", err)
		}
	}
	began := time.Now()
	var all []*outcome
	for c := range strings.SplitSeq(s.cases, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(c), ":")
		size, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("--cases: got %q, expected workload:size", c)
		}
		w, err := workload.Make(name, size, s.requests, 1)
		if err != nil {
			return fmt.Errorf("--cases: %w", err)
		}
		o, err := s.measure(ctx, w)
		if err != nil {
			return err
		}
		all = append(all, o)
	}
	return s.report(all, began)
}

// pin keeps all threads of this process, and those that they start, on one processor.
func pin(cpu int) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(cpu)
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return err
		}
	}
	return nil
}

// measure runs one case: everyone is started, and then asked in turns.
func (s *settings) measure(ctx context.Context, w *workload.Workload) (*outcome, error) {
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	o := &outcome{name: w.Name, size: w.Size, allowed: w.Allowed()}
	var running []*server
	defer func() {
		for _, v := range running {
			v.stop()
		}
	}()
	var entries []*entry
	cs := contenders(s)
	for i := range cs {
		c := &cs[i]
		if s.only != "" && !slices.Contains(strings.Split(s.only, ","), c.name) {
			continue
		}
		e := &entry{contender: c}
		o.entries = append(o.entries, e)
		v, err := c.launch(ctx, s, w, filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			e.why = err.Error()
			continue
		}
		e.startup = v.startup
		running, entries = append(running, v), append(entries, e)
	}
	for round := range s.rounds {
		for i, v := range running {
			m, err := s.sample(ctx, v, entries[i])
			if err != nil {
				return nil, fmt.Errorf("%s of %d, %s: %w", w.Name, w.Size, v.name, err)
			}
			entries[i].samples = append(entries[i].samples, m)
			fmt.Fprintf(os.Stderr, "%s of %d, round %d of %d: %-18s %8.0f/s  p99 at half %7.3f ms  wrong %d  errors %d\n", w.Name, w.Size, round+1, s.rounds, v.name,
				m.rate, m.half.Latency.P99, m.wrong, m.errors)
		}
	}
	return o, nil
}

func (s *settings) sample(ctx context.Context, v *server, e *entry) (m sample, err error) {
	o := load.Options{Endpoint: v.endpoint, Target: v.target, Calls: v.calls, Connections: s.connections, Warmup: s.warmup, Duration: s.duration}
	if _, err = load.Run(ctx, withDuration(o, s.warmup)); err != nil {
		return m, err
	}
	o.Warmup = 0
	before, _ := v.cpu()
	full, err := load.Run(ctx, o)
	if err != nil {
		return m, err
	}
	after, rss := v.cpu()
	m.rate, m.p99full, m.rss = full.Rate, full.Latency.P99, float64(rss)/(1<<20)
	if answers := full.OK + full.Wrong; answers > 0 {
		m.cpu = (after - before) * 1e6 / float64(answers)
	}
	// Half of what it bears: of the first round, so that all rounds are asked alike.
	o.Rate, o.Warmup = max(m.rate/2, 1), s.warmup
	if len(e.samples) > 0 {
		o.Rate = e.samples[0].half.Asking.Rate
	}
	if m.half, err = load.Run(ctx, o); err != nil {
		return m, err
	}
	m.wrong, m.errors = full.Wrong+m.half.Wrong, full.Errors+m.half.Errors
	return m, nil
}

func withDuration(o load.Options, d time.Duration) load.Options {
	o.Warmup, o.Duration = 0, max(d, 10*time.Millisecond)
	return o
}

// median of what f finds, with the least and the most.
func (e *entry) median(f func(*sample) float64) (mid, low, high float64) {
	vs := make([]float64, len(e.samples))
	for i := range e.samples {
		vs[i] = f(&e.samples[i])
	}
	if len(vs) == 0 {
		return 0, 0, 0
	}
	slices.Sort(vs)
	mid = vs[len(vs)/2]
	if len(vs)%2 == 0 {
		mid = (vs[len(vs)/2-1] + vs[len(vs)/2]) / 2
	}
	return mid, vs[0], vs[len(vs)-1]
}

// typical is the sample whose p99 at half is the middle one.
func (e *entry) typical() *load.Result {
	ss := slices.Clone(e.samples)
	slices.SortFunc(ss, func(a, b sample) int { return cmp.Compare(a.half.Latency.P99, b.half.Latency.P99) })
	return ss[len(ss)/2].half
}

func (e *entry) wrong() (n, errors uint64) {
	for i := range e.samples {
		n += e.samples[i].wrong
		errors += e.samples[i].errors
	}
	return n, errors
}
