package rules

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestOptions say which tests run and how.
type TestOptions struct {
	Filter        string // only tests whose full name, such as data.policies.a_test.test_x, matches this regular expression
	Builtin       bool   // the built-in policies are there too
	AllowBuiltins []string
	Timeout       time.Duration // for each test; 5 s where it is 0
}

// Outcome is how a test ended.
type Outcome string

// The outcomes of a test.
const (
	Passed  Outcome = "pass"
	Failed  Outcome = "fail"
	Skipped Outcome = "skip" // its name begins with todo_
	Broken  Outcome = "error"
)

// TestResult is one test's.
type TestResult struct {
	File     string
	Line     int
	Package  string // such as data.policies.a_test
	Name     string
	Outcome  Outcome
	Error    string // what was wrong with a broken test
	Output   string // what it printed
	Duration time.Duration
}

// FileCoverage says which lines of a policy the tests reached. In a structured policy a line stands for the rule that
// begins there.
type FileCoverage struct {
	File     string
	Covered  []int
	Missed   []int
	Coverage float64 // per cent
}

// Report is what Test found. Tests are sorted by file and line, Files by name.
type Report struct {
	Tests    []TestResult
	Files    []FileCoverage
	Coverage float64 // per cent of all lines
}

// Count is the number of tests with an outcome.
func (r *Report) Count(o Outcome) (n int) {
	for i := range r.Tests {
		if r.Tests[i].Outcome == o {
			n++
		}
	}
	return n
}

// Test runs the tests in the _test.rego files below paths with OPA's runner, over all policies there, structured ones
// as the packages they become. Its error is Problems where something does not load; failed tests are in the report.
func Test(ctx context.Context, paths []string, o TestOptions) (*Report, error) {
	kept := newMemory()
	l := loader{tests: true, cache: &kept, count: new(LoaderStats)}
	opts := Options{Paths: paths, Builtin: o.Builtin, AllowBuiltins: o.AllowBuiltins}
	if err := l.read(ctx, &opts); err != nil {
		return nil, err
	}
	a := l.assemble(&opts, l.enabled())
	if err := l.problems.orNil(); err != nil {
		return nil, err
	}
	c := l.compiler(&opts).WithEnablePrintStatements(true)
	if c.Compile(a.modules); c.Failed() { // once by ourselves, for problems in our words
		l.compileProblems(&opts, a)
		return nil, l.problems.orNil()
	}
	tracer := cover.New()
	run := tester.NewRunner().SetCompiler(l.compiler(&opts).WithEnablePrintStatements(true)).SetStore(&fixedStore{root: l.data.value()}).
		SetModules(a.modules).SetCoverageQueryTracer(tracer).CapturePrintOutput(true).Filter(o.Filter).
		SetTimeout(cmp.Or(o.Timeout, 5*time.Second)).SetParallel(1)
	results, err := run.RunTests(ctx, fixedTxn{})
	if err != nil {
		return nil, fmt.Errorf("run tests: %w", err)
	}
	report := &Report{}
	for r := range results {
		report.Tests = append(report.Tests, testResult(r))
	}
	slices.SortFunc(report.Tests, func(x, y TestResult) int {
		return cmp.Or(strings.Compare(x.File, y.File), x.Line-y.Line, strings.Compare(x.Name, y.Name))
	})
	report.cover(tracer, a)
	return report, nil
}

func testResult(r *tester.Result) TestResult {
	t := TestResult{Package: r.Package, Name: r.Name, Outcome: Passed, Output: string(r.Output), Duration: r.Duration}
	if r.Location != nil {
		t.File, t.Line = r.Location.File, r.Location.Row
	}
	switch {
	case r.Error != nil:
		t.Outcome, t.Error = Broken, r.Error.Error()
	case r.Skip:
		t.Outcome = Skipped
	case r.Fail:
		t.Outcome = Failed
	}
	return t
}

// cover takes the lines reached, of policies and libraries; tests do not count.
func (r *Report) cover(tracer *cover.Cover, a *assembled) {
	modules := map[string]*ast.Module{}
	for name, m := range a.modules {
		if !strings.HasSuffix(name, "_test.rego") {
			modules[name] = m
		}
	}
	covered, total := 0, 0
	found := tracer.Report(modules)
	for _, name := range sortedKeys(found.Files) {
		if modules[name] == nil {
			continue
		}
		file := found.Files[name]
		state := map[int]bool{}
		mark := func(ranges []cover.Range, reached bool) {
			for _, rg := range ranges {
				for line := rg.Start.Row; line <= rg.End.Row; line++ {
					at := line
					if m, ok := a.lines[name]; ok {
						if at = 0; line >= 1 && line <= len(m) {
							at = m[line-1]
						}
					}
					if at > 0 {
						state[at] = state[at] || reached
					}
				}
			}
		}
		mark(file.NotCovered, false)
		mark(file.Covered, true)
		fc := FileCoverage{File: name}
		for line, reached := range state {
			if reached {
				fc.Covered = append(fc.Covered, line)
			} else {
				fc.Missed = append(fc.Missed, line)
			}
		}
		if len(state) == 0 {
			continue
		}
		slices.Sort(fc.Covered)
		slices.Sort(fc.Missed)
		fc.Coverage = 100 * float64(len(fc.Covered)) / float64(len(state))
		covered, total = covered+len(fc.Covered), total+len(state)
		r.Files = append(r.Files, fc)
	}
	if total > 0 {
		r.Coverage = 100 * float64(covered) / float64(total)
	}
}
