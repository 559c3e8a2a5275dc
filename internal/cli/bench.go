package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"thymus/bench/load"
	"thymus/bench/workload"
)

// benchFlags are what a load is made of.
type benchFlags struct {
	url, target, path, body, expect string
	workload                        string
	size, requests                  int
	seed                            uint64
	rate, limit                     float64
	arrivals                        string
	connections, threads            int
	duration, warmup, timeout, knee time.Duration
	headers                         []string
	tokenFile, ca, html             string
	portable                        bool
	output                          *output
}

func benchCommand(std Stdio) *cobra.Command {
	names, about := workload.Names()
	long := `Put load on a decision point, this one or another, and tell how it bears it.

With --rate the loop is open: calls begin when the schedule says so, whether or not earlier ones have been answered, and
latency counts from then. A server that stalls shows. With --rate 0 it is closed: each connection asks as soon as it was
answered, which measures throughput and flatters latency.

What is asked is --body (JSON, @FILE or @- for standard input; one call a line) or a workload, whose answers are checked
against an oracle:
`
	for _, n := range names {
		long += fmt.Sprintf("\n  %-8s %s", n, about[n])
	}
	long += `

The policy that answers a workload is written by --write-policy. Exit 0 when something succeeded, 1 when nothing did.`
	cmd := &cobra.Command{
		Use:   "bench --url URL",
		Short: "Put load on a decision point: open loop, honest latencies",
		Long:  long,
		Example: `  thymus bench --url http://127.0.0.1:8181 --rate 20000 --duration 10s --connections 64
  thymus bench --url http://127.0.0.1:8181/v1/data/bench/allow --workload rbac --size 100 --rate 5000
  thymus bench --url unix:///run/thymus/data.sock --knee 2ms --html knee.html`,
		Args: cobra.NoArgs,
	}
	b := &benchFlags{}
	f := cmd.Flags()
	f.StringVar(&b.url, "url", "", "`URL` of the server: http://HOST:PORT[/PATH], https://..., unix:///PATH, grpc://HOST:PORT, grpc+unix:///PATH")
	f.StringVar(&b.target, "target", "", "`dialect`: native, authzen, opa, http or grpc; told from the URL where it can be, else native")
	f.StringVar(&b.path, "path", "", "`path` to ask, where the URL has none and the target's usual one is not meant")
	f.StringVar(&b.body, "body", "", "`JSON` to send, or @FILE, or @- for standard input: one call a line")
	f.StringVar(&b.expect, "expect", "any", "`verdict` that is right for --body: permit, deny or any")
	f.StringVar(&b.workload, "workload", "", "`name` of a workload")
	f.IntVar(&b.size, "size", 100, "`rules` of the workload's policy")
	f.IntVar(&b.requests, "requests", 4096, "distinct `calls` of the workload")
	f.Uint64Var(&b.seed, "seed", 1, "of the workload and of poisson arrivals")
	f.Float64Var(&b.rate, "rate", 1000, "`calls` a second; 0: closed loop; with --knee where the search begins")
	f.StringVar(&b.arrivals, "arrivals", "constant", "constant or poisson")
	f.IntVarP(&b.connections, "connections", "c", 64, "kept open")
	f.IntVar(&b.threads, "threads", 1, "that drive them")
	f.DurationVarP(&b.duration, "duration", "d", 10*time.Second, "that is counted")
	f.DurationVar(&b.warmup, "warmup", 2*time.Second, "before it, not counted")
	f.DurationVar(&b.timeout, "timeout", 5*time.Second, "for one answer")
	f.DurationVar(&b.knee, "knee", 0, "find the highest rate whose p99 is no more than this; --duration is a step's")
	f.Float64Var(&b.limit, "max-rate", 1e6, "where the search for the knee ends")
	f.StringArrayVarP(&b.headers, "header", "H", nil, "`name: value` to send along; may be repeated")
	f.StringVar(&b.tokenFile, "token-file", "", "`file` with the bearer token")
	f.StringVar(&b.ca, "ca", "", "`file` with certificates in PEM that sign the server's")
	f.StringVar(&b.html, "html", "", "`file` to write a page with plots to")
	f.BoolVar(&b.portable, "portable", false, "a goroutine a connection instead of one event loop a thread")
	write := f.String("write-policy", "", "write the workload's policy for Thymus below this `folder`, and ask nothing")
	b.output = outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *write != "" {
			return b.writePolicy(*write, std)
		}
		if b.url == "" {
			return errors.New("--url: expected one")
		}
		o, err := b.options(std.In)
		if err != nil {
			return err
		}
		if err := o.Check(); err != nil {
			return err
		}
		k := load.KneeOptions{Run: o, Bound: b.knee, Limit: b.limit}
		searches := cmd.Flags().Changed("knee")
		if searches {
			if err := k.Check(); err != nil {
				return err
			}
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if searches {
			return b.find(ctx, k, std)
		}
		return b.once(ctx, o, std)
	}
	return cmd
}

// options are those of the run.
func (b *benchFlags) options(in io.Reader) (load.Options, error) {
	o := load.Options{Rate: b.rate, Connections: b.connections, Workers: b.threads, Seed: b.seed,
		Duration: b.duration, Warmup: b.warmup, Timeout: b.timeout, Portable: b.portable}
	var err error
	if o.Endpoint, err = load.ParseEndpoint(b.url); err != nil {
		return o, fmt.Errorf("--url: %w", err)
	}
	if b.path != "" && !strings.HasPrefix(b.path, "/") {
		return o, fmt.Errorf("--path: got %q, expected one that begins with /", b.path)
	}
	guess := o.Endpoint
	if b.path != "" {
		guess.Path = b.path
	}
	if o.Target = load.GuessTarget(guess); b.target != "" {
		if o.Target, err = load.ParseTarget(b.target); err != nil {
			return o, fmt.Errorf("--target: %w", err)
		}
	}
	if o.Arrivals, err = load.ParseArrivals(b.arrivals); err != nil {
		return o, fmt.Errorf("--arrivals: %w", err)
	}
	if o.Calls, err = b.calls(o, in); err != nil {
		return o, err
	}
	if o.TLS, err = b.secure(o.Endpoint); err != nil {
		return o, err
	}
	// A thread that waits in the kernel gives its processor back and has to get one again: let there always be one.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), b.threads+2))
	return o, nil
}

// header is what --header and --token-file say.
func (b *benchFlags) header() (http.Header, error) {
	h := http.Header{}
	for _, line := range b.headers {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(line, "\r\n") {
			return nil, fmt.Errorf("--header: got %q, expected name: value", line)
		}
		h.Add(name, strings.TrimSpace(value))
	}
	if b.tokenFile != "" {
		token, err := readToken(b.tokenFile)
		if err != nil {
			return nil, err
		}
		h.Set("Authorization", "Bearer "+token)
	}
	return h, nil
}

// once runs one load and prints what came of it.
func (b *benchFlags) once(ctx context.Context, o load.Options, std Stdio) error {
	o.Progress = benchProgress(std)
	r, err := load.Run(ctx, o)
	endProgress(std)
	if err != nil {
		return b.unreached(err, std)
	}
	if err := b.page(r.HTML); err != nil {
		return err
	}
	if b.output.json() {
		err = writeJSON(std.Out, r)
	} else {
		err = printLoad(std.Out, r)
	}
	if err == nil && r.OK == 0 {
		return &exitError{code: exitNo, err: errors.New("nothing succeeded")}
	}
	return err
}

// unreached is a run that could not begin: JSON is wanted all the same, with what is known.
func (b *benchFlags) unreached(err error, std Stdio) error {
	if b.output.json() {
		if werr := writeJSON(std.Out, &load.Result{}); werr != nil {
			return werr
		}
	}
	return &exitError{code: exitNo, err: err}
}

// find searches for the knee and prints the steps.
func (b *benchFlags) find(ctx context.Context, o load.KneeOptions, std Stdio) error {
	o.Run.Progress = benchProgress(std)
	o.Each = func(s load.Step) {
		if endProgress(std); !b.output.json() {
			printStep(std.Out, s)
		}
	}
	k, err := load.FindKnee(ctx, o)
	endProgress(std)
	if err != nil {
		return &exitError{code: exitNo, err: err}
	}
	if err := b.page(k.HTML); err != nil {
		return err
	}
	if b.output.json() {
		err = writeJSON(std.Out, k)
	} else {
		err = printKnee(std.Out, k)
	}
	if err == nil && k.Rate == 0 {
		return &exitError{code: exitNo, err: errors.New("no rate held")}
	}
	return err
}

// page writes the HTML that was asked for.
func (b *benchFlags) page(html func() string) error {
	if b.html == "" {
		return nil
	}
	if err := os.WriteFile(b.html, []byte(html()), 0o644); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}
