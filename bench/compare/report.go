package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"thymus/bench/plot"
)

// report writes what was measured, as Markdown and as a page.
func (s *settings) report(r *results) error {
	t := newSheet("Decision points side by side")
	r.opening(t)
	r.glance(t)
	t.heading("Where Thymus loses")
	if losses := r.losses(); len(losses) > 0 {
		t.text("Every figure of a case below in which another one that decides is better by more than 5 %% and beyond the spread of the rounds. Where they are asked and set in other ways is left out: those are the same programs again.")
		t.list(losses)
	} else {
		t.text("In no figure of this run, which says more about what was measured than about Thymus.")
	}
	for _, o := range r.Cases {
		o.write(t)
	}
	r.growth(t)
	r.extras(t)
	r.closing(t)
	if s.markdown == "" {
		fmt.Print(t.md.String())
	} else if err := os.WriteFile(s.markdown, []byte(t.md.String()), 0o644); err != nil {
		return err
	}
	if s.html != "" {
		return os.WriteFile(s.html, []byte(t.p.String()), 0o644)
	}
	return nil
}

// opening says what was done, and what to be careful with.
func (r *results) opening(t *sheet) {
	t.text("Authorization services answer the same questions under the same policies on one machine. All figures are of one run of %.0f minutes, begun %s; the command that repeats it is at the end.",
		r.Seconds/60, r.Began)
	t.list([]string{
		fmt.Sprintf("In a case everyone is started, then asked in turns, A B C A B C; rounds: %d, of the first case more. A turn is a closed loop of %gs with %d connections for the throughput, then an open loop of %gs at half of the first round's throughput for the latency, each after %gs of warm-up.",
			r.Rounds, r.Duration, r.Clients, r.Duration, r.Warmup),
		"Latency counts from the moment at which a call should have begun, so that a server that stalls cannot hide it. Calls are not pipelined.",
		"Figures are medians over the rounds, with the least and the most in brackets where they differ.",
		"Every answer was compared with an oracle's: plain Go over the same facts, which shares nothing with any engine.",
		"Thymus runs with its defaults: it writes every decision to its journal and looks for attacks while it answers. The others record nothing, as is their default.",
		"cedar-go and casbin are libraries. They stand in a small server that this bench holds (fasthttp, encoding/json); what they cost alone is in the tables of each case that say \"in process\".",
	})
	if r.Others > 0.05 {
		t.note("Caution: the machine was not quiet. Other programs had %.0f %% of its processors' time; figures of time are worth little, ratios within a round somewhat more, allocations are what they are.", 100*r.Others)
	}
}

// write adds a case to the report.
func (o *outcome) write(t *sheet) {
	t.heading(o.title())
	t.text("%s", o.about())
	var bearing, waiting [][]string
	var bars, cost, tails []plot.Bar
	spectrum := &plot.Chart{Title: "Latency by percentile at half of its own throughput", X: "percentile", Y: "ms", ScaleX: plot.Nines, ScaleY: plot.Log}
	var absent []string
	for i, e := range o.Entries {
		if e.Why != "" {
			absent = append(absent, "Not measured, or not to the end: "+e.Name+": "+strings.TrimSuffix(e.Why, "."))
		}
		if len(e.Samples) == 0 {
			continue
		}
		rates, each, lat := e.median(rate), e.median(cpu), e.median(at(p99))
		wrong, errors, kinds := e.amiss()
		for _, k := range slices.Sorted(maps.Keys(kinds)) {
			absent = append(absent, fmt.Sprintf("%s had errors of kind %s: %d of its answers", e.Name, k, kinds[k]))
		}
		answers := number(float64(wrong))
		if !e.Judged {
			answers = ""
		}
		ratio, later := "", ""
		if f := o.floor(e); f != nil {
			ratio, later = part(rates.mid, f.median(rate).mid), part(lat.mid, f.median(at(p99)).mid)
		}
		heap := ""
		if a := e.median(allocs); a.mid >= 0 {
			heap = fmt.Sprintf("%.2f", a.mid)
		}
		bearing = append(bearing, []string{e.Name, rates.String(), ratio, each.String(), heap, number(e.median(rss).mid), number(e.Startup), answers, number(float64(errors))})
		waiting = append(waiting, []string{e.Name, number(e.Samples[0].Half.Asking.Rate), e.median(at(p50)).String(), lat.String(), later, number(e.median(at(p999)).mid),
			number(e.median(at(p9999)).mid), number(e.median(func(m *sample) float64 { return m.Half.Lateness }).mid)})
		bars = append(bars, plot.Bar{Name: e.Name, Value: rates.mid, Low: rates.low, High: rates.high, Colour: i + 1})
		cost = append(cost, plot.Bar{Name: e.Name, Value: each.mid, Low: each.low, High: each.high, Colour: i + 1})
		tails = append(tails, plot.Bar{Name: e.Name, Value: lat.mid, Low: lat.low, High: lat.high, Colour: i + 1})
		spectrum.Series = append(spectrum.Series, plot.Series{Name: e.Name, Points: e.typical().Spectrum, Colour: i + 1})
	}
	t.figure(plot.Bars("Decisions a second, closed loop", "/s", bars))
	t.table([]string{"as fast as it goes", "decisions a second", "of its echo's", "CPU s a million", "allocations a decision", "RSS, MiB", "start to first answer, ms", "wrong", "errors"}, bearing)
	t.figure(spectrum.SVG())
	t.table([]string{"at half of that", "asked a second", "p50, ms", "p99, ms", "p99 of its echo's", "p99.9, ms", "p99.99, ms", "generator late, ms"}, waiting)
	if o.Scene == openScene {
		t.figure(plot.Bars("Server's CPU seconds a million decisions", "s", cost))
	} else {
		t.figure(plot.Bars("p99 at half of its own throughput", "ms", tails))
	}
	for _, a := range absent {
		t.text("%s.", a)
	}
	o.same(t)
	o.wrk(t)
	o.inProcess(t)
}

// same sets latencies side by side where all were asked at one rate.
func (o *outcome) same(t *sheet) {
	var rows [][]string
	rate := 0.0
	for _, e := range o.Entries {
		few := entry{}
		for _, m := range e.Samples {
			if m.Alike != nil {
				few.Samples, rate = append(few.Samples, m), m.Alike.Asking.Rate
			}
		}
		if len(few.Samples) > 0 {
			rows = append(rows, []string{e.Name, few.median(alike(p50)).String(), few.median(alike(p99)).String(), number(few.median(alike(p999)).mid), number(few.median(alike(p9999)).mid)})
		}
	}
	if len(rows) == 0 {
		return
	}
	t.text("All asked alike, %s a second, which is half of what the slowest of those that decide bears:", plot.Number(rate))
	t.table([]string{"asked alike", "p50, ms", "p99, ms", "p99.9, ms", "p99.99, ms"}, rows)
}

// title of a case.
func (o *outcome) title() string {
	name := fmt.Sprintf("%s of %s", o.Workload, plot.Number(float64(o.Size)))
	switch o.Scene {
	case pinnedScene:
		return name + ", a processor each"
	case waysScene:
		return name + ", asked and set in other ways"
	case kafkaScene:
		return name + ", with Kafka beside"
	}
	return name
}

// about says what a case is.
func (o *outcome) about() string {
	what := map[string]string{
		"rbac":    "One rule for each role and action.",
		"denials": "Roles and actions again; nine of ten questions are to be denied, half of them from subjects that come once: an attacker's traffic.",
		"abac":    "Departments, clearances and hours, looked up in tables.",
		"rebac":   "Documents in folders in folders, subjects in groups in groups: a walk over a graph.",
		"tools":   "An agent's tool calls with parameters of some kilobytes, bounded by amount, network and wording.",
		"proxy":   "Methods and paths of a web service behind a proxy.",
	}[o.Workload]
	what += fmt.Sprintf(" %.0f %% of the questions are to be allowed.", 100*o.Allowed)
	switch o.Scene {
	case pinnedScene:
		what += " Server and generator have one processor each, so that neither takes time from the other: what a server bears on one core, its background work included."
	case kafkaScene:
		what += " A node of Apache Kafka runs on the same processors the whole time, also while those are measured that do not use it; it has taken events at full load for " +
			feedFor.String() + " before, so that its own compilation is nobody's cost."
	case openScene:
		what += " The scheduler places servers and generator on all processors as it likes."
	}
	return what
}

// wrk sets wrk's own figures beside the generator's.
func (o *outcome) wrk(t *sheet) {
	var rows [][]string
	var floor float64
	for _, e := range o.Entries {
		var rates, tails []float64
		bad := 0
		for _, m := range e.Samples {
			if m.Wrk != nil {
				rates, tails, bad = append(rates, m.Wrk.Rate), append(tails, m.Wrk.P99), bad+m.Wrk.Bad
			}
		}
		if len(rates) == 0 {
			continue
		}
		w, own := medianOf(rates), e.median(rate)
		if !e.Judged {
			floor = w.mid
		}
		rows = append(rows, []string{e.Name, w.String(), part(w.mid, floor), own.String(), medianOf(tails).String(), number(e.median(func(m *sample) float64 { return m.Full.Latency.P99 }).mid), fmt.Sprint(bad)})
	}
	if len(rows) == 0 {
		return
	}
	t.text("Beside wrk (one thread, as many connections, in the same rounds), which asks one question over and over and does not look at the answer:")
	t.table([]string{"", "wrk, a second", "of the echo's", "thymus bench, a second", "wrk's p99, ms", "thymus bench's p99, ms", "not 2xx"}, rows)
}

// inProcess adds what the engines cost as libraries.
func (o *outcome) inProcess(t *sheet) {
	var rows [][]string
	var bars []plot.Bar
	for _, l := range o.Libraries {
		if l.Why != "" {
			t.text("Not measured in process: %s: %s.", l.Name, l.Why)
			continue
		}
		rows = append(rows, []string{l.Name, l.Input, number(l.CPU), fmt.Sprintf("%.1f", l.Allocs), number(l.Bytes), fmt.Sprint(l.Wrong)})
		if l.Input == fromJSON {
			bars = append(bars, plot.Bar{Name: l.Name, Value: l.Allocs})
		}
	}
	if len(rows) == 0 {
		return
	}
	t.text("In process, one decision, nothing recorded. Thymus' row is all from the call's bytes to the answer's; the others end at their boolean.")
	t.table([]string{"in process", "given", "CPU, µs", "allocations", "bytes", "wrong"}, rows)
	if o.Size == 100 {
		t.figure(plot.Bars("Allocations a decision, in process, from JSON", "", bars))
	}
}
