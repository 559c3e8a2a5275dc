package cli

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"thymus/bench/load"
	"thymus/bench/plot"
)

// benchProgress shows on a terminal how a run stands, on one line that is written over each second.
func benchProgress(std Stdio) func(load.Progress) {
	if !terminal(std.Err) {
		return nil
	}
	return func(p load.Progress) {
		phase := "counting"
		switch {
		case !p.Warm:
			phase = "warm-up"
		case p.Waiting:
			phase = "behind"
		}
		fmt.Fprintf(std.Err, "\r\x1b[K%4.0fs  %-8s  %9s/s  p99 %s  max %s  errors %d  wrong %d", p.At.Seconds(), phase, plot.Number(p.Rate),
			p.P99.Round(time.Microsecond), p.Max.Round(time.Microsecond), p.Errors, p.Wrong)
	}
}

// endProgress takes the line away.
func endProgress(std Stdio) {
	if terminal(std.Err) {
		fmt.Fprint(std.Err, "\r\x1b[K")
	}
}

// printLoad writes a result for a person.
func printLoad(out io.Writer, r *load.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	a := &r.Asking
	loop := "closed"
	if a.Loop == "open" {
		loop = fmt.Sprintf("open, %s a second, %s", plot.Number(a.Rate), a.Arrivals)
	}
	fmt.Fprintf(w, "endpoint\t%s (%s)\nloop\t%s, %d connections, %gs\n", a.Endpoint, a.Target, loop, a.Connections, r.Seconds)
	fmt.Fprintf(w, "asked\t%d\nsent\t%d\nok\t%d\nerrors\t%d\nwrong\t%d\nunsent\t%d\nrate\t%s/s\n", r.Asked, r.Sent, r.OK, r.Errors, r.Wrong, r.Unsent,
		plot.Number(r.Rate))
	for _, kind := range [...]string{"transport", "timeout", "status", "malformed"} {
		if n := r.Faults[kind]; n > 0 {
			fmt.Fprintf(w, "  %s\t%d\n", kind, n)
		}
	}
	fmt.Fprintf(w, "\t\nms\tp50\tp90\tp99\tp99.9\tp99.99\tmax\n")
	line := func(name string, l load.Latency) {
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\n", name, l.P50, l.P90, l.P99, l.P999, l.P9999, l.Max)
	}
	line("latency", r.Latency)
	if a.Loop == "open" {
		line("from the write", r.Service)
		line("own lateness", r.Late)
	}
	line("own turns", r.Turn)
	if err := w.Flush(); err != nil {
		return err
	}
	if late := max(r.Lateness, r.Turn.P99); late > r.Latency.P99/4 && late > 0.5 {
		fmt.Fprintf(out, "\nThe generator itself was up to %.3f ms late in 99 %% of the calls: its part of the latency is not small.\n", late)
	}
	return nil
}

func printStep(out io.Writer, s load.Step) {
	held := "held"
	if !s.Held {
		held = s.Why
	}
	fmt.Fprintf(out, "%10s/s asked  %10s/s ok  p50 %8.3f  p99 %8.3f ms  lateness %.3f ms  %s\n", plot.Number(s.Rate), plot.Number(s.Result.Rate),
		s.Result.Latency.P50, s.Result.Latency.P99, s.Result.Lateness, held)
}

func printKnee(out io.Writer, k *load.Knee) error {
	_, err := fmt.Fprintf(out, "%s calls a second hold with a p99 of at most %g ms\n", plot.Number(k.Rate), k.Bound)
	if err == nil && k.Generator {
		_, err = fmt.Fprintln(out, "the generator gave way first: the server holds more")
	}
	return err
}
