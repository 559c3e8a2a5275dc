package check_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// What make bench-check and make bench-baseline set.
const (
	envCount  = "THYMUS_BENCH_CHECK"    // count instructions: 1
	envUpdate = "THYMUS_BENCH_BASELINE" // write the baseline instead of comparing: 1
	envStage  = "THYMUS_BENCH_STAGE"    // this process runs one stage under valgrind
	envRounds = "THYMUS_BENCH_ROUNDS"   // so many times
)

const file = "baseline.json"

// more is what a stage may cost beyond its baseline.
const more = 0.05

// cost of one decision.
type cost struct {
	Allocations  float64 `json:"allocations"`
	Instructions float64 `json:"instructions,omitempty"` // 0: not counted yet
}

// baseline is what costs were when it was written.
type baseline struct {
	Go           string          `json:"go"`
	Architecture string          `json:"architecture"`
	Stages       map[string]cost `json:"stages"`
}

func read(t *testing.T) baseline {
	t.Helper()
	var b baseline
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil && (os.Getenv(envUpdate) == "" || !os.IsNotExist(err)) {
		t.Fatal(err)
	}
	return b
}

func TestNoStageCostsMoreThanItDid(t *testing.T) {
	if os.Getenv(envStage) != "" {
		t.Skip("this process is counted")
	}
	old, now := read(t), baseline{Go: runtime.Version(), Architecture: runtime.GOARCH, Stages: map[string]cost{}}
	for _, s := range stages() {
		c := cost{Allocations: allocations(t, &s)}
		if os.Getenv(envCount) != "" || os.Getenv(envUpdate) != "" {
			c.Instructions = instructions(t, s.name)
			// What loads differently from run to run is part of the difference of two runs: a rise must show three times.
			for again := 0; again < 2 && os.Getenv(envUpdate) == "" && c.Instructions > old.Stages[s.name].Instructions*(1+more); again++ {
				c.Instructions = min(c.Instructions, instructions(t, s.name))
			}
		}
		now.Stages[s.name] = c
		t.Logf("%-32s %8.0f instructions  %6.2f allocations", s.name, c.Instructions, c.Allocations)
		if os.Getenv(envUpdate) != "" {
			continue
		}
		was, ok := old.Stages[s.name]
		if !ok {
			t.Errorf("%s: not in %s; make bench-baseline writes it", s.name, file)
			continue
		}
		if was.Instructions > 0 && c.Instructions > 0 && c.Instructions < was.Instructions*(1-more) || c.Allocations < was.Allocations*(1-more)-0.1 {
			t.Logf("%s: cheaper than its baseline of %.0f instructions and %.2f allocations; make bench-baseline keeps it so", s.name, was.Instructions, was.Allocations)
		}
		for _, problem := range compare(s.name, was, c, old.Go == now.Go && old.Architecture == now.Architecture) {
			t.Error(problem)
		}
	}
	if os.Getenv(envUpdate) != "" {
		text, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// compare says what costs more than it may. A tenth of an allocation is what a pool that the collector emptied costs.
func compare(name string, was, now cost, alike bool) (problems []string) {
	if raceEnabled {
		return nil // the detector allocates
	}
	if now.Allocations > was.Allocations*(1+more)+0.1 {
		problems = append(problems, fmt.Sprintf("%s: %.2f allocations, were %.2f", name, now.Allocations, was.Allocations))
	}
	if alike && now.Instructions > 0 && was.Instructions > 0 && now.Instructions > was.Instructions*(1+more) {
		problems = append(problems, fmt.Sprintf("%s: %.0f instructions, were %.0f: %+.1f %%", name, now.Instructions, was.Instructions,
			100*(now.Instructions/was.Instructions-1)))
	}
	return problems
}

// allocations is how many a decision makes.
func allocations(t *testing.T, s *stage) float64 {
	round, calls, end := s.prepare(t)
	defer end()
	return testing.AllocsPerRun(20, round) / float64(calls)
}

// Rounds of the two runs whose difference is counted: what happens once falls out, but for what loading takes more or less
// from run to run (maps, timers), which must be small beside the difference.
const (
	fewRounds  = 5
	manyRounds = 125
)

// instructions is how many a decision takes, by valgrind.
func instructions(t *testing.T, name string) float64 {
	t.Helper()
	if _, err := exec.LookPath("valgrind"); err != nil {
		if os.Getenv("REQUIRE_REAL") == "1" {
			t.Fatal("valgrind is not here")
		}
		t.Skip("valgrind is not here: instructions are not counted")
	}
	few, many := counted(t, name, fewRounds), counted(t, name, manyRounds)
	return float64(many-few) / float64((manyRounds-fewRounds)*100)
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

// counted is how many instructions a process takes that runs a stage. One processor, no collection, no preemption: the
// same instructions each time, but for the time that timers take.
func counted(t *testing.T, name string, rounds int) int64 {
	t.Helper()
	c := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", os.Args[0], "-test.run", "^TestStageIsRun$", "-test.count", "1")
	c.Env = append(os.Environ(), envStage+"="+name, envRounds+"="+strconv.Itoa(rounds), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	out, err := c.CombinedOutput()
	m := collected.FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("valgrind: %v\n%s", err, out)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestStageIsRun is what valgrind counts.
func TestStageIsRun(t *testing.T) {
	name := os.Getenv(envStage)
	if name == "" {
		t.Skip("only under make bench-check")
	}
	rounds, err := strconv.Atoi(os.Getenv(envRounds))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stages() {
		if s.name == name {
			round, _, end := s.prepare(t)
			defer end()
			for range rounds {
				round()
			}
			return
		}
	}
	t.Fatalf("no stage is called %q", name)
}

func TestTheGuardBites(t *testing.T) {
	was := cost{Allocations: 2, Instructions: 1000}
	for _, c := range []struct {
		name  string
		now   cost
		alike bool
		want  string
	}{
		{"the same", was, true, ""},
		{"a little more", cost{2.1, 1049}, true, ""},
		{"cheaper", cost{0, 10}, true, ""},
		{"more instructions", cost{2, 1051}, true, "1051 instructions"},
		{"more instructions, of another compiler", cost{2, 2000}, false, ""},
		{"more allocations", cost{3, 1000}, false, "3.00 allocations"},
	} {
		if raceEnabled {
			t.Skip("nothing is compared under the race detector")
		}
		if got := strings.Join(compare("x", was, c.now, c.alike), "; "); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: got %q, expected %q", c.name, got, c.want)
		}
	}
	if p := compare("x", cost{}, cost{Allocations: 0.5}, true); len(p) != 1 && !raceEnabled {
		t.Error("half an allocation where there was none goes unnoticed")
	}
}
