package load_test

import (
	"math"
	"testing"
	"time"

	"thymus/bench/load"
)

func TestTheTimelineCountsEveryAnswerOfTheRun(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		e := serve(t, "tcp", echo(permitted))
		for _, took := range []time.Duration{200 * time.Millisecond, 1010 * time.Millisecond, 1300 * time.Millisecond} {
			r := run(t, load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: 500, Connections: 4,
				Duration: took, Portable: portable})
			answers, last := 0.0, 0.0
			for _, p := range r.Timeline {
				answers += p.Rate * (p.At - last)
				last = p.At
			}
			if math.Abs(answers-float64(r.OK)) > 0.5 || last < took.Seconds() {
				t.Errorf("%v: %v answers until %vs, expected %d: %+v", took, answers, last, r.OK, r.Timeline)
			}
		}
	})
}
