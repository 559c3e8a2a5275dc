package load_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/bench/load"
)

// TestTheKneeIsWhereTheServerGivesWay asks a server of which is known what it bears: one call at a time, eight
// milliseconds each. More than that no search may find. Less is what a machine that stands still leaves of it, so that a
// search which finds too little is made again. Few connections tell what is too much by what they leave unsent, and let
// the bound be longer than a stall.
func TestTheKneeIsWhereTheServerGivesWay(t *testing.T) {
	const work, bears = 8 * time.Millisecond, 125.0
	turn := make(chan struct{}, 1)
	e := serve(t, "tcp", func(c *fasthttp.RequestCtx) {
		turn <- struct{}{}
		time.Sleep(work)
		<-turn
		c.Response.SetBodyString(permitted)
	})
	search := func() *load.Knee {
		var told int
		k, err := load.FindKnee(context.Background(), load.KneeOptions{Bound: 400 * time.Millisecond, Each: func(load.Step) { told++ },
			Run: load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: bears / 4, Connections: 4, Duration: 800 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		if k.Rate > 1.1*bears || told != len(k.Steps) {
			t.Errorf("%g calls a second, %d of %d steps told: expected up to %g", k.Rate, told, len(k.Steps), bears)
		}
		for i, s := range k.ByRate() {
			if i > 0 && s.Rate < k.ByRate()[i-1].Rate || s.Held != (s.Rate <= k.Rate) {
				t.Errorf("step %g held: %v (%s), knee %g", s.Rate, s.Held, s.Why, k.Rate)
			}
			t.Logf("step %g held: %v %s", s.Rate, s.Held, s.Why)
		}
		return k
	}
	k := search()
	for try := 1; k.Rate < bears/4 || len(k.Steps) < 4; try++ {
		if try == 10 {
			t.Fatalf("%g calls a second, %d steps: ten searches found too little", k.Rate, len(k.Steps))
		}
		k = search()
	}
	if page := k.HTML(); !strings.Contains(page, "<svg") || strings.Contains(page, "<script") || strings.Contains(page, "src=") {
		t.Error("the page is not what it should be")
	}
}
