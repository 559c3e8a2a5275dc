package load

import (
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// plan is what all workers of a run share; nobody writes to it once they run. Times are nanoseconds from its base.
type plan struct {
	o       *Options
	base    time.Time
	warm    int64 // calls that should begin from here on count
	end     int64 // none should begin any more
	timeout int64
	stop    atomic.Bool // the caller has had enough
}

// now is the monotonic clock.
func (p *plan) now() int64 { return int64(time.Since(p.base)) }

// start sets the clock to 0.
func (p *plan) start() {
	p.base = time.Now()
	p.warm = int64(p.o.Warmup)
	p.end = p.warm + int64(p.o.Duration)
}

// live is what a worker lets others see while it runs.
type live struct {
	answers, errors, wrong, p99, max atomic.Int64
	waiting                          atomic.Bool
}

// lane is a worker's share of the calls: which is next, when it is due, and what became of it.
type lane struct {
	p       *plan
	sched   schedule
	calls   []Call
	turn    int
	tally   *tally
	live    live
	recent  *hdrhistogram.Histogram // since the last publish
	shown   int64                   // when that was
	closing int64                   // when the worker saw that the end had come; 0: not yet

	answers, errors, wrong int64 // of the whole run, warm-up included
}

func newLane(p *plan, i, n int) *lane {
	l := &lane{p: p, calls: p.o.Calls, turn: len(p.o.Calls) * i / n, tally: newTally()}
	if p.o.Rate > 0 {
		l.sched = newSchedule(p.o.Rate, p.o.Arrivals, i, n, p.o.Seed)
	}
	l.recent = hdrhistogram.New(least, longest, 2)
	return l
}

// open says whether the loop is.
func (l *lane) open() bool { return l.p.o.Rate > 0 }

// due says whether a call should have begun by now, and when.
func (l *lane) due(now int64) (intended int64, yes bool) {
	if !l.open() {
		return now, now < l.p.end
	}
	intended = l.sched.next()
	return intended, intended <= now && intended < l.p.end && (l.closing == 0 || now < l.closing+grace)
}

// grace is how long the last calls may still begin, in nanoseconds, once the worker has seen that the end has come: time
// for a generator that was late to catch up, too little for a backlog, which is the server's and counts as unsent.
const grace = int64(10e6)

// over says that no call begins any more.
func (l *lane) over(now int64) bool {
	switch {
	case l.p.stop.Load():
		return true
	case now < l.p.end:
		return false
	case l.closing == 0:
		l.closing = now
	}
	return !l.open() || now >= l.closing+grace || l.sched.next() >= l.p.end
}

// take counts a call that begins and says which it is. free is since when its connection was.
func (l *lane) take(intended, begun, free int64) *Call {
	if l.open() {
		l.sched.advance()
	}
	if l.turn++; l.turn >= len(l.calls) {
		l.turn = 0
	}
	if intended >= l.p.warm {
		l.tally.asked++
		l.tally.sent++
		if l.open() {
			record(l.tally.late, begun-max(intended, free))
		}
	}
	return &l.calls[l.turn]
}

// settle counts what became of a call.
func (l *lane) settle(c *Call, a answer, intended, begun, now int64) {
	l.answers++
	switch {
	case a.fault != noFault:
		l.errors++
	case c.Want != Unknown && c.Want != a.verdict:
		l.wrong++
	}
	record(l.recent, now-intended)
	if intended >= l.p.warm {
		l.tally.count(a, c.Want, now-intended, now-begun)
	}
}

// finish counts the calls that should have begun and never did, with the time they have waited.
func (l *lane) finish(now int64) {
	if !l.open() {
		return
	}
	for at := l.sched.next(); at < l.p.end; at = l.sched.next() {
		if l.p.stop.Load() && at > now { // the run ended before they were due
			break
		}
		if at >= l.p.warm {
			l.tally.asked++
			l.tally.unsent++
			record(l.tally.latency, now-at)
		}
		l.sched.advance()
	}
}

// publish lets others see, every tenth of a second.
func (l *lane) publish(now int64) {
	if now-l.shown < 100e6 {
		return
	}
	l.shown = now
	l.live.answers.Store(l.answers)
	l.live.errors.Store(l.errors)
	l.live.wrong.Store(l.wrong)
	if l.recent.TotalCount() > 0 {
		l.live.p99.Store(max(l.live.p99.Load(), l.recent.ValueAtQuantile(99)))
		l.live.max.Store(max(l.live.max.Load(), l.recent.Max()))
		l.recent.Reset()
	}
	_, due := l.due(now - 1e6)
	l.live.waiting.Store(l.open() && due)
}
