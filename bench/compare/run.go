package main

import (
	"context"
	"errors"
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

// kase is a case that was asked for.
type kase struct {
	w      *workload.Workload
	scene  string
	rounds int
}

// parse reads --cases.
func (s *settings) parse() (ks []kase, err error) {
	for c := range strings.SplitSeq(s.cases, ",") {
		what, scene, _ := strings.Cut(strings.TrimSpace(c), "@")
		name, number, _ := strings.Cut(what, ":")
		size, err := strconv.Atoi(number)
		if err != nil || !slices.Contains([]string{openScene, pinnedScene, waysScene, kafkaScene}, scene) {
			return nil, fmt.Errorf("--cases: got %q, expected workload:size[@scene]", c)
		}
		w, err := workload.Make(name, size, s.requests, 1)
		if err != nil {
			return nil, fmt.Errorf("--cases: %w", err)
		}
		ks = append(ks, kase{w, scene, s.rounds})
	}
	ks[0].rounds = (s.rounds*5 + 2) / 3
	return ks, nil
}

func (s *settings) run(ctx context.Context, r *results) error {
	ks, err := s.parse()
	if err != nil {
		return err
	}
	began, busy := time.Now(), busyTime()
	r.Began, r.Rounds, r.Duration, r.Warmup, r.Clients = began.UTC().Format(time.RFC3339), s.rounds, s.duration.Seconds(), s.warmup.Seconds(), s.connections
	for _, k := range ks {
		o, err := s.measure(ctx, k)
		if err != nil {
			return err
		}
		r.Cases = append(r.Cases, o)
	}
	if s.extras {
		s.measureExtras(ctx, r)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	took := time.Since(began)
	r.Seconds = took.Seconds()
	r.Others = max(0, (busyTime()-busy-ours())/(took.Seconds()*float64(processors())))
	r.Machine, r.Again = s.machine(), s.again()
	return nil
}

// pin keeps all threads of this process, and those that they start, on one processor, until the returned function is
// called.
func pin(cpu int) (func(), error) {
	var old, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		return nil, err
	}
	set.Set(cpu)
	err := affine(&set)
	return func() { _ = affine(&old) }, err
}

func affine(set *unix.CPUSet) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, set); err != nil && !errors.Is(err, unix.ESRCH) { // it ended meanwhile
			return err
		}
	}
	return nil
}

// measure runs one case: everyone is started, and then asked in turns.
func (s *settings) measure(ctx context.Context, k kase) (*outcome, error) {
	w := k.w
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	o := &outcome{Workload: w.Name, Size: w.Size, Scene: k.scene, Allowed: w.Allowed()}
	cpu := -1
	if k.scene == pinnedScene {
		cpu = s.serverCPU
	}
	if k.scene == kafkaScene {
		stop, err := s.startKafka(ctx, filepath.Join(dir, "kafka"))
		if err != nil {
			s.tell("Kafka: %v", err)
		} else {
			defer stop()
		}
	}
	type pair struct {
		*server
		*entry
	}
	var running []pair
	defer func() {
		for _, p := range running {
			p.stop()
		}
	}()
	cs := contenders()
	for i := range cs {
		c := &cs[i]
		if !c.takesPart(w, k.scene) || s.only != "" && !slices.Contains(strings.Split(s.only, ","), c.name) {
			continue
		}
		e := &entry{Name: c.name, About: c.about, GRPC: c.target == load.GRPC, Judged: c.judged}
		o.Entries = append(o.Entries, e)
		v, err := c.launch(ctx, s, w, filepath.Join(dir, strconv.Itoa(i)), cpu)
		if err != nil {
			e.Why = strings.TrimSpace(err.Error())
			continue
		}
		e.Startup = float64(v.startup.Microseconds()) / 1000
		running = append(running, pair{v, e})
		s.tell("%s of %d %s: %s answers after %.0f ms", w.Name, w.Size, k.scene, c.name, e.Startup)
	}
	for _, p := range running {
		if k.scene == kafkaScene && p.Name == withKafka {
			if err := s.feed(ctx, p.server); err != nil {
				p.Why = fmt.Sprintf("before the first round: %v", err)
			}
		}
	}
	if cpu >= 0 { // only now: servers would inherit the generator's processor
		free, err := pin(s.clientCPU)
		if err != nil {
			return nil, fmt.Errorf("--client-cpu: %w", err)
		}
		defer free()
	}
	same := 0.0 // half of the slowest decider's throughput in the first round
	for round := range k.rounds {
		for _, p := range running {
			if p.Why != "" {
				continue
			}
			m, err := s.sample(ctx, p.server, p.entry)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				p.Why = fmt.Sprintf("in round %d: %v", round+1, err)
				continue
			}
			if k.scene == openScene && w.Name == "rbac" && w.Size == 100 {
				m.Wrk = s.runWrk(ctx, p.server, dir)
				if same > 0 {
					if m.Alike, err = s.atRate(ctx, p.server, same); err != nil {
						p.Why = fmt.Sprintf("in round %d: %v", round+1, err)
					}
				}
			}
			p.Samples = append(p.Samples, m)
			s.tell("%s of %d %s, round %d of %d: %-22s %8.0f/s  p99 at half %7.3f ms  wrong %d  errors %d", w.Name, w.Size, k.scene, round+1, k.rounds, p.Name,
				m.Rate, m.Half.Latency.P99, m.Full.Wrong+m.Half.Wrong, m.Full.Errors+m.Half.Errors)
		}
		if same == 0 {
			same = o.slowest() / 2
		}
	}
	if k.scene == openScene {
		o.Libraries = s.libraries(w, dir)
	}
	return o, nil
}

// feedFor is how long the broker takes events before anything is measured. A Java machine compiles what it runs while it
// runs: a broker's first seconds under load cost whoever shares its processors three times what an event costs later.
const feedFor = 20 * time.Second

// feed lets the broker take events for a while.
func (s *settings) feed(ctx context.Context, v *server) error {
	_, err := load.Run(ctx, load.Options{Endpoint: v.endpoint, Target: v.target, Calls: v.calls, Connections: s.connections, Duration: feedFor})
	return err
}

func (s *settings) tell(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (s *settings) sample(ctx context.Context, v *server, e *entry) (m sample, err error) {
	o := load.Options{Endpoint: v.endpoint, Target: v.target, Calls: v.calls, Connections: s.connections, Duration: s.warmup}
	if _, err = load.Run(ctx, o); err != nil {
		return m, err
	}
	o.Duration = s.duration
	asking, tells := v.mallocs()
	given, _ := v.mallocs()
	asking = given - asking // what it takes to be asked for metrics
	before, _ := v.used()
	if m.Full, err = load.Run(ctx, o); err != nil {
		return m, err
	}
	after, rss := v.used()
	m.Rate, m.RSS, m.Allocs = m.Full.Rate, float64(rss)/(1<<20), -1
	if answers := m.Full.OK + m.Full.Wrong; answers > 0 {
		m.CPU = (after - before) * 1e6 / float64(answers)
		if now, ok := v.mallocs(); ok && tells {
			m.Allocs = max(0, now-given-asking) / float64(answers)
		}
	}
	// Half of what it bears: of the first round, so that all rounds are asked alike.
	half := max(m.Rate/2, 1)
	if len(e.Samples) > 0 {
		half = e.Samples[0].Half.Asking.Rate
	}
	m.Half, err = s.atRate(ctx, v, half)
	return m, err
}

// atRate asks in an open loop.
func (s *settings) atRate(ctx context.Context, v *server, rate float64) (*load.Result, error) {
	return load.Run(ctx, load.Options{Endpoint: v.endpoint, Target: v.target, Calls: v.calls, Connections: s.connections, Rate: rate, Warmup: s.warmup, Duration: s.duration})
}

// slowest is the least throughput of those that decide, in the first round.
func (o *outcome) slowest() (least float64) {
	for _, e := range o.Entries {
		if e.Judged && len(e.Samples) > 0 && (least == 0 || e.Samples[0].Rate < least) {
			least = e.Samples[0].Rate
		}
	}
	return max(least, 2)
}
