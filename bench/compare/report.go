package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"thymus/bench/plot"
)

func rate(m *sample) float64 { return m.rate }
func cpu(m *sample) float64  { return m.cpu }
func rss(m *sample) float64  { return m.rss }
func half(m *sample) float64 { return m.half.Latency.P99 }
func tail(m *sample) float64 { return m.half.Latency.P9999 }
func late(m *sample) float64 { return m.half.Lateness }

// report writes what was measured, as Markdown and as a page.
func (s *settings) report(all []*outcome, began time.Time) error {
	out := os.Stdout
	if s.markdown != "" {
		f, err := os.Create(s.markdown)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	p := plot.NewPage("Decision points side by side")
	md := &strings.Builder{}
	intro := []string{
		fmt.Sprintf("Each case: everyone is started, then asked in turns, %d rounds. A turn is a warm-up, a closed loop of %s with %d connections for the throughput, and an open loop of %s at half of the first round's throughput for the latency, which counts from the moment at which a call should have begun. Figures are medians over the rounds, least to most in brackets. Every answer was compared with the oracle's.", s.rounds, s.duration, s.connections, s.duration),
		"cedar-go and casbin are libraries: they stand in a small server that this bench holds, and record nothing. Thymus keeps its journal, as it does by default.",
	}
	md.WriteString("# Decision points side by side\n\n")
	for _, t := range intro {
		md.WriteString(t + "\n\n")
		p.Text(t)
	}
	machine := s.machine(began)
	md.WriteString("```\n" + machine + "```\n\n")
	for _, c := range contenders(s) {
		line := c.name + ": " + c.about + "."
		md.WriteString("- " + line + "\n")
		p.Text(line)
	}
	p.Code(machine)
	for _, o := range all {
		o.write(md, p)
	}
	growth(all, p)
	if _, err := out.WriteString(md.String()); err != nil {
		return err
	}
	if s.html != "" {
		return os.WriteFile(s.html, []byte(p.String()), 0o644)
	}
	return nil
}

// spread writes a median with its bounds.
func spread(mid, low, high float64) string {
	return fmt.Sprintf("%s (%s to %s)", plot.Number(mid), plot.Number(low), plot.Number(high))
}

// write adds a case to the report.
func (o *outcome) write(md *strings.Builder, p *plot.Page) {
	title := fmt.Sprintf("%s of %d", o.name, o.size)
	about := fmt.Sprintf("%.0f %% of the questions are to be allowed.", 100*o.allowed)
	fmt.Fprintf(md, "\n## %s\n\n%s\n\n", title, about)
	p.Heading(title)
	p.Text(about)
	head := []string{"", "decisions a second", "of its echo", "p99 at half, ms", "p99.99 at half, ms", "generator's lateness, ms", "CPU seconds a million", "RSS, MiB", "start to first answer, ms", "wrong", "errors"}
	floor := map[bool]float64{}
	for _, e := range o.entries {
		if !e.judged && e.why == "" {
			floor[e.only != ""], _, _ = e.median(rate)
		}
	}
	var rows [][]string
	var bars, cost []plot.Bar
	spectrum := &plot.Chart{Title: "Latency by percentile at half of its own throughput", X: "percentile", Y: "ms", ScaleX: plot.Nines, ScaleY: plot.Log}
	var absent []string
	for _, e := range o.entries {
		if e.why != "" {
			if e.why != errNotSaid.Error() || e.only == "" {
				absent = append(absent, e.name+": "+strings.TrimSpace(e.why))
			}
			continue
		}
		mid, low, high := e.median(rate)
		each, cheap, dear := e.median(cpu)
		wrong, errors := e.wrong()
		ratio := "" // of gRPC's floor nothing else is a part
		if f := floor[e.only != ""]; f > 0 {
			ratio = fmt.Sprintf("%.2f", mid/f)
		}
		memory, _, _ := e.median(rss)
		lag, _, _ := e.median(late)
		rows = append(rows, []string{e.name, spread(mid, low, high), ratio, spread(e.median(half)), spread(e.median(tail)), plot.Number(lag), spread(each, cheap, dear),
			plot.Number(memory), plot.Number(float64(e.startup.Milliseconds())), fmt.Sprint(wrong), fmt.Sprint(errors)})
		bars = append(bars, plot.Bar{Name: e.name, Value: mid, Low: low, High: high})
		cost = append(cost, plot.Bar{Name: e.name, Value: each, Low: cheap, High: dear})
		spectrum.Series = append(spectrum.Series, plot.Series{Name: e.name, Points: e.typical().Spectrum})
	}
	p.Table(head, rows)
	fmt.Fprintf(md, "|%s|\n|%s\n", strings.Join(head, "|"), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		fmt.Fprintf(md, "|%s|\n", strings.Join(r, "|"))
	}
	for _, a := range absent {
		fmt.Fprintf(md, "\nNot run: %s.\n", a)
		p.Text("Not run: " + a + ".")
	}
	p.Figure(plot.Bars("Decisions a second, closed loop", "/s", bars))
	p.Figure(plot.Bars("Server's CPU seconds a million decisions", "s", cost))
	p.Figure(spectrum.SVG())
}

// growth draws throughput against the size of a policy, where a workload was run in several sizes.
func growth(all []*outcome, p *plot.Page) {
	byName := map[string]*plot.Series{}
	var order []string
	sizes := map[int]bool{}
	for _, o := range all {
		if o.name != "rbac" {
			continue
		}
		sizes[o.size] = true
		for _, e := range o.entries {
			if e.why != "" {
				continue
			}
			if byName[e.name] == nil {
				byName[e.name] = &plot.Series{Name: e.name}
				order = append(order, e.name)
			}
			mid, _, _ := e.median(rate)
			byName[e.name].Points = append(byName[e.name].Points, [2]float64{float64(o.size), mid})
		}
	}
	if len(sizes) < 2 {
		return
	}
	c := &plot.Chart{Title: "Decisions a second as rules grow (rbac)", X: "rules", Y: "decisions a second", ScaleX: plot.Log, ScaleY: plot.Log}
	for _, n := range order {
		c.Series = append(c.Series, *byName[n])
	}
	p.Heading("As rules grow")
	p.Figure(c.SVG())
}

// machine says where, when and with what.
func (s *settings) machine(began time.Time) string {
	var b strings.Builder
	said := func(name string, args ...string) string {
		text, err := exec.Command(name, args...).Output()
		if err != nil {
			return "not known (" + err.Error() + ")"
		}
		return strings.TrimSpace(string(text))
	}
	field := func(file, key string) string {
		text, _ := os.ReadFile(file)
		for line := range strings.SplitSeq(string(text), "\n") {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
				return strings.TrimSpace(v)
			}
		}
		return "not known"
	}
	fmt.Fprintf(&b, "date       %s, %s long\n", began.UTC().Format(time.RFC3339), time.Since(began).Round(time.Second))
	fmt.Fprintf(&b, "processor  %s, %d of them, shared with the generator\n", field("/proc/cpuinfo", "model name"), runtime.NumCPU())
	fmt.Fprintf(&b, "memory     %s\n", field("/proc/meminfo", "MemTotal"))
	fmt.Fprintf(&b, "kernel     %s\n", said("uname", "-sr"))
	load1, _, _ := strings.Cut(said("cat", "/proc/loadavg"), " ")
	fmt.Fprintf(&b, "load       %s at the end\n", load1)
	fmt.Fprintf(&b, "go         %s\n", runtime.Version())
	fmt.Fprintf(&b, "thymus     %s\n", strings.ReplaceAll(said(s.thymus, "version"), "\n", "\n           "))
	first, _, _ := strings.Cut(said(s.opa, "version"), "\n")
	fmt.Fprintf(&b, "opa        %s\n", first)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			switch d.Path {
			case "github.com/cedar-policy/cedar-go", "github.com/casbin/casbin/v2", "github.com/valyala/fasthttp", "google.golang.org/grpc":
				fmt.Fprintf(&b, "library    %s %s\n", d.Path, d.Version)
			}
		}
	}
	fmt.Fprintf(&b, "again      make bench-report ARGS=%q\n", strings.TrimSpace(fmt.Sprintf("--cases %s --rounds %d --connections %d --duration %s --warmup %s --requests %d",
		s.cases, s.rounds, s.connections, s.duration, s.warmup, s.requests)))
	return b.String()
}
