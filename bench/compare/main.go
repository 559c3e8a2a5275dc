package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// settings of a comparison.
type settings struct {
	thymus, opa, wrk, kafka string
	markdown, html          string
	save, from              string
	cases                   string
	rounds                  int
	connections             int
	duration                time.Duration
	warmup                  time.Duration
	requests                int
	serverCPU, clientCPU    int
	only                    string
	extras                  bool
	brokers                 string // of the Kafka that runs
}

// usual are the cases of a whole report. What stands behind the @ is a scene: see scenes.
const usual = "rbac:100,rbac:100@pinned,rbac:100@ways,rbac:100@kafka,rbac:10,rbac:1000,rbac:10000,rbac:100000,denials:100,abac:1000,rebac:100,tools:20,proxy:100"

// What is measured how long, unless flags say otherwise.
const (
	usualRounds      = 3
	usualConnections = 64
	usualDuration    = 1500 * time.Millisecond
	usualWarmup      = 300 * time.Millisecond
	usualRequests    = 4096
)

func main() {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "serve-") {
		fail(serveRival(os.Args[1], os.Args[2:]))
		return
	}
	s := &settings{}
	flag.StringVar(&s.thymus, "thymus", "bin/thymus", "`binary`")
	flag.StringVar(&s.opa, "opa", "bin/opa", "`binary`")
	flag.StringVar(&s.wrk, "wrk", "wrk", "`binary`, measured beside the generator; absent: said in the report")
	flag.StringVar(&s.kafka, "kafka", "", "`folder` with the jars of Apache Kafka, for the scene kafka")
	flag.StringVar(&s.markdown, "markdown", "", "`file` for the report; empty: standard output")
	flag.StringVar(&s.html, "html", "", "`file` for the page with plots; empty: none")
	flag.StringVar(&s.save, "save", "", "`file` for everything that was measured, as JSON")
	flag.StringVar(&s.from, "from", "", "`file` that --save wrote: write its report again, measure nothing")
	flag.StringVar(&s.cases, "cases", usual, "`workload:size[@scene]` to run, with commas between; scenes: pinned, ways, kafka")
	flag.StringVar(&s.only, "only", "", "`names` of those that take part, with commas between; empty: all")
	flag.IntVar(&s.rounds, "rounds", usualRounds, "how often each is measured, in turns; the first case five for each three")
	flag.IntVar(&s.connections, "connections", usualConnections, "kept open")
	flag.DurationVar(&s.duration, "duration", usualDuration, "of one measurement")
	flag.DurationVar(&s.warmup, "warmup", usualWarmup, "before each")
	flag.IntVar(&s.requests, "requests", usualRequests, "distinct questions of a case")
	flag.IntVar(&s.serverCPU, "server-cpu", 1, "`processor` of the servers, where a scene pins")
	flag.IntVar(&s.clientCPU, "client-cpu", 0, "`processor` of the generator, where a scene pins")
	flag.BoolVar(&s.extras, "extras", true, "measure idle time, sizes and the server that stalls, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &results{}
	if s.from != "" {
		text, err := os.ReadFile(s.from)
		fail(err)
		fail(json.Unmarshal(text, r))
	} else {
		fail(s.run(ctx, r))
	}
	if s.save != "" {
		text, err := json.Marshal(r)
		fail(err)
		fail(os.WriteFile(s.save, text, 0o644))
	}
	fail(s.report(r))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}
