package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thymus/bench/load"
)

// fake is an entry with a sample for each rate.
func fake(name string, judged bool, rss float64, rates ...float64) *entry {
	e := &entry{Name: name, About: "<b>about</b>", Judged: judged, Startup: 10}
	for _, r := range rates {
		m := sample{Rate: r, CPU: 1e6 / r, RSS: rss, Allocs: -1, Full: &load.Result{OK: 100}, Half: &load.Result{OK: 100}}
		m.Half.Latency = load.Latency{P50: 100 / r, P99: 1000 / r, P999: 2000 / r, P9999: 3000 / r}
		m.Half.Asking.Rate = r / 2
		m.Half.Spectrum = [][2]float64{{0, 0.1}, {99, 1}, {100, 2}}
		e.Samples = append(e.Samples, m)
	}
	return e
}

func results1() *results {
	return &results{Rounds: 3, Clients: 64, Machine: [][2]string{{"processor", "x"}}, Again: "make bench-report", Others: 0.5, Cases: []*outcome{
		{Workload: "rbac", Size: 100, Entries: []*entry{
			fake("echo", false, 10, 100, 110, 90), fake("thymus", true, 50, 80, 85, 75), fake("opa", true, 40, 20, 21, 19),
			fake("cedar-go", true, 60, 120, 90, 130), fake("casbin", true, 60, 86, 84, 82), {Name: "away", Judged: true, Why: "is not here"},
		}, Libraries: []library{{Name: "thymus", Input: fromJSON, CPU: 1}, {Name: "cedar-go", Input: fromOwn, CPU: 0.5}, {Name: "opa", Input: fromOwn, CPU: 9}}},
		{Workload: "rbac", Size: 1000, Entries: []*entry{fake("echo", false, 10, 100), fake("thymus", true, 50, 80)}},
	}}
}

func TestLossesAreTold(t *testing.T) {
	said := strings.Join(results1().losses(), "\n")
	for _, want := range []string{
		"rbac of 100, decisions a second: cedar-go 120; Thymus 80.",
		"rbac of 100, resident memory in MiB: opa 40; Thymus 50.",
		"rbac of 100, p99.9 in ms, each at half of its own throughput: cedar-go 16.7; Thymus 25.",
		"rbac of 100, p99.99 in ms, each at half of its own throughput: cedar-go 25; Thymus 37.5.",
		"rbac of 100, CPU in µs a decision in process: cedar-go, given its own values, made before, 0.5; Thymus 1, given JSON.",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not told in:\n%s", want, said)
		}
	}
	for _, no := range []string{"casbin", "echo", "allocations", "away", "rbac of 1,000"} { // within the spread, no decider, not told
		if strings.Contains(said, no) {
			t.Errorf("%q is told in:\n%s", no, said)
		}
	}
}

func TestTheReportIsWhole(t *testing.T) {
	dir := t.TempDir()
	s := &settings{markdown: filepath.Join(dir, "r.md"), html: filepath.Join(dir, "r.html")}
	if err := s.report(results1()); err != nil {
		t.Fatal(err)
	}
	md, err := os.ReadFile(s.markdown)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(s.html)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| thymus | 80 (75–85) | 0.80 |", "the machine was not quiet", "away: is not here", "| throughput, of the echo's (journal on) | 0.80 | ≥ 0.85 | not met |",
		"make bench-report", "| p99 at half of the throughput, of the echo's | 1.25 | ≤ 1.25 | met |"} {
		if !strings.Contains(string(md), want) {
			t.Errorf("%q is not in:\n%s", want, md)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "<b>about", "src="} {
		if strings.Contains(string(page), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if n := strings.Count(string(page), "<figure>"); n < 6 {
		t.Errorf("%d figures", n)
	}
}

func TestWhatWrkPrintsIsRead(t *testing.T) {
	f := readWrk([]byte(`Running 3s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.06ms    5.97ms 104.39ms   97.75%
    Req/Sec   125.57k    19.21k  162.94k    76.67%
  Latency Distribution
     50%  415.00us
     75%  532.00us
     90%  714.00us
     99%   28.42ms
  374962 requests in 3.00s, 29.68MB read
  Non-2xx or 3xx responses: 7
Requests/sec: 124815.02
Transfer/sec:      9.88MB
`))
	if want := (wrkFigures{Rate: 124815.02, P50: 0.415, P99: 28.42, Max: 104.39, Bad: 7}); f == nil || *f != want {
		t.Errorf("got %+v, expected %+v", f, want)
	}
	if f := readWrk([]byte("unable to connect")); f != nil {
		t.Errorf("got %+v of no run", f)
	}
}

func TestCasesAreRead(t *testing.T) {
	s := &settings{cases: usual, rounds: 3, requests: 8}
	ks, err := s.parse()
	if err != nil {
		t.Fatal(err)
	}
	if len(ks) != strings.Count(usual, ",")+1 || ks[0].rounds != 5 || ks[1].rounds != 3 || ks[1].scene != pinnedScene || ks[1].w.Size != 100 {
		t.Errorf("%+v", ks)
	}
	for _, bad := range []string{"", "rbac", "rbac:x", "rbac:10@moon", "acl:10", "rbac:0"} {
		if _, err := (&settings{cases: bad, rounds: 1, requests: 8}).parse(); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
