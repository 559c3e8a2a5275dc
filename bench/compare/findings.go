package main

import (
	"fmt"
	"slices"
	"strings"

	"thymus/bench/plot"
)

// glance is the first table: what was hoped for, and what was found.
func (r *results) glance(t *sheet) {
	main := r.find("rbac", 100, openScene)
	var rows [][]string
	add := func(what, found, goal string, met bool) {
		verdict := ""
		if goal != "" {
			verdict = map[bool]string{true: "met", false: "not met"}[met]
		}
		rows = append(rows, []string{what, found, goal, verdict})
	}
	if main != nil {
		us, echo, rival := main.named("thymus"), main.named("echo"), main.named("opa")
		if us != nil && echo != nil {
			v := us.median(rate).mid / echo.median(rate).mid
			add("throughput, of the echo's (journal on)", fmt.Sprintf("%.2f", v), "≥ 0.85", v >= 0.85)
			if a, b := wrkRateOf(us), wrkRateOf(echo); a > 0 && b > 0 {
				add("the same by wrk", fmt.Sprintf("%.2f", a/b), "≥ 0.85", a/b >= 0.85)
			}
			v = us.median(at(p99)).mid / echo.median(at(p99)).mid
			add("p99 at half of the throughput, of the echo's", fmt.Sprintf("%.2f", v), "≤ 1.25", v <= 1.25)
		}
		if us != nil && rival != nil {
			add("throughput, times OPA's", fmt.Sprintf("%.1f", us.median(rate).mid/rival.median(rate).mid), "", true)
			if a, b := wrkRateOf(us), wrkRateOf(rival); a > 0 && b > 0 {
				add("the same by wrk", fmt.Sprintf("%.1f", a/b), "", true)
			}
		}
		if us != nil {
			add("CPU seconds a million decisions", us.median(cpu).String(), "", true)
			add("start to first answer, ms", number(us.Startup), "≤ 150", us.Startup <= 150)
			add("resident memory under load, MiB", us.median(rss).String(), "", true)
		}
	}
	if k := r.find("rbac", 100, kafkaScene); k != nil {
		if us, echo := k.named(withKafka), k.named("echo"); us != nil && echo != nil {
			v := us.median(rate).mid / echo.median(rate).mid
			add("throughput with Kafka, of the echo's", fmt.Sprintf("%.2f", v), "≥ 0.70", v >= 0.70)
		}
	}
	for _, d := range r.Disk {
		if d.Name == "thymus" {
			add("binary, MB", number(d.Size), "≤ 48", d.Size <= 48)
		}
	}
	for _, i := range r.Idle {
		if i.Name == "thymus" {
			add("idle, % of one processor", fmt.Sprintf("%.1f", 100*i.CPU), "", true)
		}
	}
	if len(rows) == 0 {
		return
	}
	t.heading("At a glance")
	t.text("%d connections, 100 role-based rules, everything on the same processors.", r.Clients)
	t.table([]string{"", "found", "goal", ""}, rows)
}

// wrkRateOf is the median of what wrk found; 0 where it was not asked.
func wrkRateOf(e *entry) float64 {
	var vs []float64
	for _, m := range e.Samples {
		if m.Wrk != nil {
			vs = append(vs, m.Wrk.Rate)
		}
	}
	return medianOf(vs).mid
}

// losses are the figures in which one that decides is better than Thymus: by more than 5 %, and with its worst round better
// than Thymus' best. A line is a figure of a case.
func (r *results) losses() (all []string) {
	for _, o := range r.Cases {
		us := o.named("thymus")
		if us == nil || o.Scene == waysScene {
			continue
		}
		say := func(what, mine string, better []string) {
			if len(better) > 0 {
				all = append(all, fmt.Sprintf("%s, %s: %s; Thymus %s.", o.title(), what, strings.Join(better, ", "), mine))
			}
		}
		for _, f := range []struct {
			what string
			more bool // is better
			of   func(*sample) float64
		}{
			{"decisions a second", true, rate},
			{"p50 in ms, each at half of its own throughput", false, at(p50)},
			{"p99 in ms, each at half of its own throughput", false, at(p99)},
			{"p99.9 in ms, each at half of its own throughput", false, at(p999)},
			{"p99.99 in ms, each at half of its own throughput", false, at(p9999)},
			{"p50 in ms, all asked alike", false, alike(p50)},
			{"p99 in ms, all asked alike", false, alike(p99)},
			{"p99.9 in ms, all asked alike", false, alike(p999)},
			{"p99.99 in ms, all asked alike", false, alike(p9999)},
			{"CPU seconds a million decisions", false, cpu},
			{"allocations a decision", false, allocs},
			{"resident memory in MiB", false, rss},
			{"start to first answer in ms", false, nil},
		} {
			mine := us.figure(f.of)
			var better []string
			for _, e := range o.Entries {
				if !e.Judged || len(e.Samples) == 0 || strings.HasPrefix(e.Name, "thymus") {
					continue
				}
				its := e.figure(f.of)
				if mine.mid < 0 || its.mid < 0 {
					continue
				}
				if f.more && its.mid > 1.05*mine.mid && its.low > mine.high || !f.more && its.mid < mine.mid/1.05 && its.high < mine.low {
					better = append(better, e.Name+" "+number(its.mid))
				}
			}
			say(f.what, number(mine.mid), better)
		}
		var mine float64
		var better []string
		for _, l := range o.Libraries {
			switch {
			case l.Name == "thymus" && l.Why == "":
				mine = l.CPU
			case mine > 0 && l.Why == "" && l.CPU < mine/1.05:
				better = append(better, fmt.Sprintf("%s, given %s, %s", l.Name, l.Input, number(l.CPU)))
			}
		}
		say("CPU in µs a decision in process", number(mine)+", given JSON", better)
	}
	return all
}

// figure is a median of its samples; without a function how long its start took.
func (e *entry) figure(f func(*sample) float64) spread {
	if f == nil {
		return spread{e.Startup, e.Startup, e.Startup}
	}
	return e.median(f)
}

// growth draws what becomes of everyone as a policy grows.
func (r *results) growth(t *sheet) {
	var cases []*outcome
	for _, o := range r.Cases {
		if o.Workload == "rbac" && o.Scene == openScene {
			cases = append(cases, o)
		}
	}
	slices.SortFunc(cases, func(a, b *outcome) int { return a.Size - b.Size })
	if len(cases) < 2 {
		return
	}
	t.heading("As rules grow")
	t.text("The same workload, rbac, with more and more rules.")
	for _, f := range []struct {
		title, y string
		of       func(*entry) float64
	}{
		{"Decisions a second", "decisions a second", func(e *entry) float64 { return e.median(rate).mid }},
		{"Start to first answer, ms", "ms", func(e *entry) float64 { return e.Startup }},
		{"Resident memory under load, MiB", "MiB", func(e *entry) float64 { return e.median(rss).mid }},
	} {
		c := &plot.Chart{Title: f.title, X: "rules", Y: f.y, ScaleX: plot.Log, ScaleY: plot.Log}
		var names []string
		head, rows := []string{f.title}, [][]string{}
		for _, o := range cases {
			head = append(head, plot.Number(float64(o.Size)))
			for _, e := range o.Entries {
				if !slices.Contains(names, e.Name) {
					names = append(names, e.Name)
				}
			}
		}
		for i, n := range names {
			line, row := plot.Series{Name: n, Colour: i + 1}, []string{n}
			for _, o := range cases {
				if e := o.named(n); e != nil {
					line.Points = append(line.Points, [2]float64{float64(o.Size), f.of(e)})
					row = append(row, number(f.of(e)))
				} else {
					row = append(row, "")
				}
			}
			c.Series, rows = append(c.Series, line), append(rows, row)
		}
		t.figure(c.SVG())
		t.table(head, rows)
	}
}

// extras are what is measured once.
func (r *results) extras(t *sheet) {
	if len(r.Disk)+len(r.Idle) > 0 {
		t.heading("Left alone")
		rows := map[string][]string{}
		var names []string
		at := func(name string) []string {
			if rows[name] == nil {
				names, rows[name] = append(names, name), []string{name, "", "", ""}
			}
			return rows[name]
		}
		for _, d := range r.Disk {
			at(d.Name)[1] = number(d.Size)
		}
		for _, i := range r.Idle {
			row := at(i.Name)
			row[2], row[3] = fmt.Sprintf("%.1f", 100*i.CPU), number(i.RSS)
		}
		var all [][]string
		for _, n := range names {
			all = append(all, rows[n])
		}
		t.table([]string{"", "binary, MB", "idle, % of one processor", "RSS before the first question, MiB"}, all)
	}
	if len(r.Stall) > 0 {
		t.heading("What a stall looks like")
		t.text("A server that answers at once, but stands still for 100 ms of each second. A tenth of the calls should begin during a stall, so their p99 is about 90 ms; a tool that waits for an answer before it asks again asks once a connection meanwhile, and has little to show. wrk 4 adds to its percentiles the calls that it reckons it would have made; that is an estimate, not a measurement.")
		var rows [][]string
		for _, s := range r.Stall {
			rows = append(rows, []string{s.Tool, number(s.Rate), number(s.P50), number(s.P99), number(s.Max)})
		}
		t.table([]string{"", "a second", "p50, ms", "p99, ms", "max, ms"}, rows)
	}
}

// closing says who took part, where, and how to do it again.
func (r *results) closing(t *sheet) {
	t.heading("Who, where, and again")
	var who []string
	seen := map[string]bool{}
	for _, o := range r.Cases {
		for _, e := range o.Entries {
			if !seen[e.Name] {
				seen[e.Name] = true
				who = append(who, e.Name+": "+e.About+".")
			}
		}
	}
	t.list(who)
	var rows [][]string
	for _, m := range r.Machine {
		rows = append(rows, []string{m[0], m[1]})
	}
	rows = append(rows, []string{"other programs", fmt.Sprintf("%.1f %% of the processors' time during the run", 100*r.Others)})
	t.table([]string{"", "during this run"}, rows)
	if len(r.NotDone) > 0 {
		t.list(r.NotDone)
	}
	t.text("p99.99 rests on few calls of a round, and says less than p99. On a machine whose processors the generator shares, the generator is part of every figure of time: its own lateness stands beside.")
	t.code(r.Again)
}
