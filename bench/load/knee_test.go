package load_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/bench/load"
)

// TestTheKneeIsWhereTheServerGivesWay asks a server of which is known what it bears: one call at a time, a few
// milliseconds each.
func TestTheKneeIsWhereTheServerGivesWay(t *testing.T) {
	turn := make(chan struct{}, 1)
	e := serve(t, "tcp", func(c *fasthttp.RequestCtx) {
		turn <- struct{}{}
		time.Sleep(4 * time.Millisecond) // its work
		<-turn
		c.Response.SetBodyString(permitted)
	})
	var told int
	k, err := load.FindKnee(context.Background(), load.KneeOptions{Bound: 60 * time.Millisecond, Each: func(load.Step) { told++ },
		Run: load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: 50, Connections: 64, Duration: 600 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	if k.Rate < 50 || k.Rate > 255 || told != len(k.Steps) || len(k.Steps) < 4 {
		t.Errorf("%g calls a second, %d steps: expected up to 250", k.Rate, len(k.Steps))
	}
	for i, s := range k.ByRate() {
		if i > 0 && s.Rate < k.ByRate()[i-1].Rate || s.Held != (s.Rate <= k.Rate) {
			t.Errorf("step %g held: %v (%s), knee %g", s.Rate, s.Held, s.Why, k.Rate)
		}
	}
	if page := k.HTML(); !strings.Contains(page, "<svg") || strings.Contains(page, "<script") || strings.Contains(page, "src=") {
		t.Error("the page is not what it should be")
	}
}
