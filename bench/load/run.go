package load

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// driver moves calls and answers for one worker.
type driver interface {
	connect(ctx context.Context) error
	run() error
	result() *lane
	close()
}

// Run asks as the options say, and ends early, with what there is by then, when ctx does. An error means that there is no
// result: the options are wrong, or the endpoint could not be reached before the clock started.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	p := &plan{o: &o, base: time.Now(), timeout: int64(o.Timeout)}
	drivers, err := open(ctx, p)
	defer func() {
		for _, d := range drivers {
			d.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	p.start()
	defer context.AfterFunc(ctx, func() { p.stop.Store(true) })()

	watched := watch(p, drivers)
	before := processTime()
	errs := make([]error, len(drivers))
	var wg sync.WaitGroup
	for i, d := range drivers {
		wg.Go(func() { errs[i] = d.run() })
	}
	wg.Wait()
	spent := processTime() - before
	line := watched()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	t := newTally()
	for _, d := range drivers {
		t.add(d.result().tally)
	}
	took := min(time.Duration(p.now()), o.Warmup+o.Duration) - o.Warmup
	return newResult(&o, t, max(took, 0), time.Duration(p.now()), spent, line), nil
}

// open makes the workers and their connections.
func open(ctx context.Context, p *plan) (ds []driver, err error) {
	n := p.o.Workers
	for i := range n {
		var d driver
		if epollable(p.o) {
			d, err = newWorker(p, i, n)
		} else if i == 0 { // one lane serves all connections
			d, err = newPortable(p), nil
		} else {
			break
		}
		if err != nil {
			return ds, fmt.Errorf("%s: %w", p.o.Endpoint, err)
		}
		ds = append(ds, d)
	}
	for _, d := range ds {
		if err = d.connect(ctx); err != nil {
			return ds, err
		}
	}
	return ds, nil
}

// Point is a stretch of a run.
type Point struct {
	At     float64 `json:"at"`     // seconds since the start, warm-up included
	Rate   float64 `json:"rate"`   // answers a second
	P99    float64 `json:"p99_ms"` // of several workers the worst
	Max    float64 `json:"max_ms"`
	Errors uint64  `json:"errors"` // since the start
}

// rest is how long the end of a run has to be, in nanoseconds, to be a stretch of its own: a rate over less says little.
const rest = int64(50e6)

// watch looks at the workers once a second, and when the returned function is called, which gives what it saw.
func watch(p *plan, drivers []driver) func() []Point {
	done, gone := make(chan struct{}), make(chan struct{})
	var line []Point
	var from, before, last, seen int64 // beginning and end of the last stretch, and the answers by then
	look := func(now int64) {
		g := Progress{At: time.Duration(now), Warm: now >= p.warm}
		answers := int64(0)
		for _, d := range drivers {
			l := &d.result().live
			answers += l.answers.Load()
			g.Errors += uint64(l.errors.Load())
			g.Wrong += uint64(l.wrong.Load())
			g.P99 = max(g.P99, time.Duration(l.p99.Swap(0)))
			g.Max = max(g.Max, time.Duration(l.max.Swap(0)))
			g.Waiting = g.Waiting || l.waiting.Load()
		}
		g.Rate = float64(answers-seen) * 1e9 / float64(now-last)
		from, before, last, seen = last, seen, now, answers
		line = append(line, Point{At: g.At.Seconds(), Rate: g.Rate, P99: ms(int64(g.P99)), Max: ms(int64(g.Max)), Errors: g.Errors})
		if p.o.Progress != nil {
			p.o.Progress(g)
		}
	}
	go func() {
		defer close(gone)
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-done:
				now, tail := p.now(), Point{}
				if n := len(line) - 1; n >= 0 && now-last < rest {
					tail, line = line[n], line[:n]
					last, seen = from, before
				}
				look(now)
				end := &line[len(line)-1]
				end.P99, end.Max = max(end.P99, tail.P99), max(end.Max, tail.Max)
				return
			case <-t.C:
				look(p.now())
			}
		}
	}()
	return func() []Point {
		close(done)
		<-gone
		return line
	}
}
