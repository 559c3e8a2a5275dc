package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

// settings of a comparison.
type settings struct {
	thymus, opa    string
	markdown, html string
	cases          string
	rounds         int
	connections    int
	duration       time.Duration
	warmup         time.Duration
	requests       int
	serverCPUs     string
	clientCPU      int
	only           string
}

func main() {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "serve-") {
		fail(serveRival(os.Args[1], os.Args[2:]))
		return
	}
	s := settings{}
	flag.StringVar(&s.thymus, "thymus", "bin/thymus", "`binary`")
	flag.StringVar(&s.opa, "opa", "bin/opa", "`binary`")
	flag.StringVar(&s.markdown, "markdown", "", "`file` for the report; empty: standard output")
	flag.StringVar(&s.html, "html", "", "`file` for the page with plots; empty: none")
	flag.StringVar(&s.cases, "cases", "rbac:10,rbac:100,rbac:1000,rbac:10000,denials:100,abac:1000,rebac:100,tools:20,proxy:100", "`workload:size` to run, with commas between")
	flag.StringVar(&s.only, "only", "", "`names` of those that take part, with commas between; empty: all")
	flag.IntVar(&s.rounds, "rounds", 5, "how often each is measured, in turns")
	flag.IntVar(&s.connections, "connections", 64, "kept open")
	flag.DurationVar(&s.duration, "duration", 3*time.Second, "of one measurement")
	flag.DurationVar(&s.warmup, "warmup", time.Second, "before each")
	flag.IntVar(&s.requests, "requests", 4096, "distinct questions of a case")
	flag.StringVar(&s.serverCPUs, "server-cpus", "", "`list` of processors for the servers, as taskset takes it; empty: any")
	flag.IntVar(&s.clientCPU, "client-cpu", -1, "`processor` of the generator; -1: any")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fail(s.run(ctx))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}
