package load

import (
	"fmt"

	"thymus/bench/plot"
)

// HTML is the result as a page that needs nothing else.
func (r *Result) HTML() string {
	a := &r.Asking
	p := plot.NewPage("Load on " + a.Endpoint)
	p.Text(a.words())
	p.Table([]string{"", "calls"}, [][]string{
		{"asked", plot.Number(float64(r.Asked))}, {"sent", plot.Number(float64(r.Sent))}, {"answered rightly", plot.Number(float64(r.OK))},
		{"answered wrongly", plot.Number(float64(r.Wrong))}, {"errors", plot.Number(float64(r.Errors))}, {"never sent", plot.Number(float64(r.Unsent))},
		{"answered rightly, a second", plot.Number(r.Rate)},
	})
	row := func(name string, l Latency) []string {
		out := []string{name}
		for _, v := range [...]float64{l.P50, l.P90, l.P99, l.P999, l.P9999, l.Max} {
			out = append(out, plot.Number(v))
		}
		return out
	}
	p.Heading("Milliseconds")
	p.Table([]string{"", "p50", "p90", "p99", "p99.9", "p99.99", "max"}, [][]string{
		row("latency", r.Latency), row("from the write", r.Service), row("generator's lateness", r.Late), row("generator's turns", r.Turn),
	})
	p.Text("Latency counts from the moment at which a call should have begun. What was not answered, or never sent, counts with the time it had waited by the end.")
	p.Figure((&plot.Chart{Title: "Latency by percentile", X: "percentile", Y: "ms", ScaleX: plot.Nines, ScaleY: plot.Log,
		Series: []plot.Series{{Name: "latency", Points: r.Spectrum}}}).SVG())
	var rate, p99, most [][2]float64
	for _, t := range r.Timeline {
		rate = append(rate, [2]float64{t.At, t.Rate})
		p99 = append(p99, [2]float64{t.At, t.P99})
		most = append(most, [2]float64{t.At, t.Max})
	}
	if len(rate) > 1 {
		p.Figure((&plot.Chart{Title: "Answers a second", X: "seconds, warm-up included", Y: "1/s", Series: []plot.Series{{Name: "answers", Points: rate}}}).SVG())
		p.Figure((&plot.Chart{Title: "Latency over time", X: "seconds, warm-up included", Y: "ms", ScaleY: plot.Log,
			Series: []plot.Series{{Name: "p99", Points: p99}, {Name: "max", Points: most}}}).SVG())
	}
	return p.String()
}

func (a *Asking) words() string {
	loop := "closed loop: each connection asks as soon as it was answered"
	if a.Loop == "open" {
		loop = fmt.Sprintf("open loop: %s calls a second, %s arrivals", plot.Number(a.Rate), a.Arrivals)
	}
	return fmt.Sprintf("Target %s, %s, %d connections, %d distinct calls, %gs after a warm-up of %gs.", a.Target, loop, a.Connections, a.Calls,
		a.Duration, a.Warmup)
}

// HTML is the search as a page that needs nothing else.
func (k *Knee) HTML() string {
	p := plot.NewPage("Highest rate that holds")
	if len(k.Steps) > 0 {
		p.Text(k.Steps[0].Result.Asking.words())
	}
	p.Text(fmt.Sprintf("%s calls a second hold with a p99 of at most %g ms.", plot.Number(k.Rate), k.Bound))
	if k.Generator {
		p.Text("The generator gave way first: the server holds more.")
	}
	var rows [][]string
	for _, s := range k.Steps {
		held := "held"
		if !s.Held {
			held = s.Why
		}
		rows = append(rows, []string{plot.Number(s.Rate), plot.Number(s.Result.Rate), plot.Number(s.Result.Latency.P50), plot.Number(s.Result.Latency.P99),
			plot.Number(s.Result.Lateness), held})
	}
	p.Table([]string{"asked a second", "answered", "p50 ms", "p99 ms", "lateness ms", ""}, rows)
	p.Figure((&plot.Chart{Title: "Latency by rate", X: "calls a second asked for", Y: "ms", ScaleY: plot.Log, Series: k.series()}).SVG())
	return p.String()
}

func (k *Knee) series() []plot.Series {
	ss := []plot.Series{{Name: "p50"}, {Name: "p99"}, {Name: "p99.9"}}
	for _, s := range k.ByRate() {
		l := s.Result.Latency
		for i, v := range [...]float64{l.P50, l.P99, l.P999} {
			ss[i].Points = append(ss[i].Points, [2]float64{s.Rate, v})
		}
	}
	return ss
}
