package load_test

import (
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/bench/load"
)

// TestAStallShows is the reason for an open loop: a server that answers at once, but for a tenth of each second not at
// all. A tenth of the calls should begin meanwhile, so the 95th percentile is about half a stall. A closed loop asks once
// a connection meanwhile and sees nothing of it up to its 99th.
//
// That too little shows is the generator's fault, at once. Too much may be the machine's, which adds stalls of its own
// and may be too slow for the rate; the shares are the same at every rate, so that it is asked again, more slowly.
func TestAStallShows(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		began := time.Now()
		e := serve(t, "tcp", func(c *fasthttp.RequestCtx) {
			if into := time.Since(began) % time.Second; into < 100*time.Millisecond {
				time.Sleep(100*time.Millisecond - into) // the stall
			}
			c.Response.SetBodyString(permitted)
		})
		o := load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Connections: 8, Duration: 3 * time.Second, Portable: portable}
		again(t, "open", 2000, func(rate float64) (r *load.Result, right bool) {
			o.Rate = rate
			r = run(t, o)
			if r.Latency.P99 < 70 {
				t.Fatalf("open loop: p99 %.2f ms: the stall does not show", r.Latency.P99)
			}
			// 90 % took no time from their write: what shows is not when the server answered, but when it should have been asked.
			return r, r.Latency.P99 <= 150 && r.Latency.P50 <= 30 && r.Service.P90 <= 50
		})
		again(t, "closed", 0, func(float64) (r *load.Result, right bool) {
			o.Rate = 0
			r = run(t, o)
			if r.Latency.Max < 70 {
				t.Fatalf("closed loop: max %.2f ms: the server was not stalled", r.Latency.Max)
			}
			return r, r.Latency.P99 <= 50
		})
	})
}

// again runs at a rate until the result is right, a few times at most and more and more slowly. It fails where none of
// the runs was right although the machine did not stand still in one of them.
func again(t *testing.T, loop string, rate float64, f func(rate float64) (r *load.Result, right bool)) {
	t.Helper()
	undisturbed := false
	for range 6 {
		stood := standstill()
		r, right := f(rate)
		worst := stood()
		t.Logf("%s loop: p50 %.2f p99 %.1f max %.1f ms, from the write p90 %.2f; %d calls; the machine stood still for %s",
			loop, r.Latency.P50, r.Latency.P99, r.Latency.Max, r.Service.P90, r.OK, worst)
		if right {
			return
		}
		undisturbed = undisturbed || worst < 50*time.Millisecond
		rate /= 1.5
	}
	if undisturbed {
		t.Errorf("%s loop: this is not the server's stall", loop)
	}
}

// standstill watches for how long at a time nothing of this process ran, until the function that it returns is called.
func standstill() (stop func() time.Duration) {
	end, worst := make(chan struct{}), make(chan time.Duration)
	go func() {
		const pause = 2 * time.Millisecond
		tick := time.NewTicker(pause)
		defer tick.Stop()
		longest := time.Duration(0)
		for last := time.Now(); ; {
			select {
			case <-end:
				worst <- longest
				return
			case <-tick.C:
			}
			now := time.Now()
			longest = max(longest, now.Sub(last)-pause)
			last = now
		}
	}()
	return func() time.Duration {
		close(end)
		return <-worst
	}
}
