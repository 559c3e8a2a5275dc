package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"thymus/rules"
)

// testFlags are what `thymus policy test` is told.
type testFlags struct {
	run       string
	coverage  bool
	threshold float64
	verbose   bool
	output    *output
	config    *configSource
}

func testCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test [POLICY_PATH...]",
		Short: "Run the tests of policies: exit 0 passed, 1 failed, 2 error",
		Long: `Run the rules that begin with test_ in the _test.rego files of the paths, over all policies there: Rego, and structured
ones as the packages policies.ID that they become. Coverage is by lines; a structured policy's line stands for the rule
that begins there.`,
	}
	f := &testFlags{config: configFlags(cmd, false), output: outputFlag(cmd)}
	cmd.Flags().StringVar(&f.run, "run", "", "only tests whose full name, such as data.policies.a_test.test_x, matches the `regexp`")
	cmd.Flags().BoolVar(&f.coverage, "coverage", false, "say which lines the tests reached")
	cmd.Flags().Float64Var(&f.threshold, "threshold", 0, "fail below this `percentage` of lines; implies --coverage")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "name the tests that passed, too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.test(cmd, std, args) }
	return cmd
}

func (f *testFlags) test(cmd *cobra.Command, std Stdio, args []string) error {
	if _, err := regexp.Compile(f.run); err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	if !(f.threshold >= 0 && f.threshold <= 100) {
		return fmt.Errorf("--threshold: got %g, expected a percentage from 0 to 100", f.threshold)
	}
	f.coverage = f.coverage || f.threshold > 0
	cfg, err := f.config.load(std, args, false)
	if err != nil {
		return err
	}
	if len(cfg.Policies.Paths) == 0 {
		return errNoPolicies
	}
	report, err := rules.Test(cmd.Context(), cfg.Policies.Paths, rules.TestOptions{
		Filter: f.run, Builtin: cfg.Policies.Builtin, AllowBuiltins: cfg.Policies.AllowBuiltins,
	})
	if err != nil {
		return err
	}
	if len(report.Tests) == 0 {
		return errors.New("no test was found: expected rules that begin with test_ in files that end in _test.rego")
	}
	given(report)
	if f.output.json() {
		err = writeJSON(std.Out, f.document(report))
	} else {
		err = f.print(std, report)
	}
	if err != nil {
		return err
	}
	if report.Count(rules.Failed)+report.Count(rules.Broken) > 0 {
		return &exitError{code: exitNo}
	}
	if report.Coverage < f.threshold {
		return &exitError{code: exitNo, err: fmt.Errorf("coverage is %.1f%%, below the threshold of %g%%", report.Coverage, f.threshold)}
	}
	return nil
}

// print writes the report for people: what did not pass, what was not reached, and the sum.
func (f *testFlags) print(std Stdio, r *rules.Report) error {
	for _, t := range r.Tests {
		if t.Outcome == rules.Passed && !f.verbose {
			continue
		}
		fmt.Fprintf(std.Out, "%-5s %s:%d: %s.%s", t.Outcome, t.File, t.Line, t.Package, t.Name)
		if f.verbose {
			fmt.Fprintf(std.Out, " (%s)", t.Duration.Round(time.Microsecond))
		}
		fmt.Fprintln(std.Out)
		for _, text := range []string{t.Error, t.Output} {
			for l := range strings.Lines(text) {
				fmt.Fprintln(std.Out, "      "+line(strings.TrimRight(l, "\n")))
			}
		}
	}
	fmt.Fprintf(std.Out, "%d passed", r.Count(rules.Passed))
	for _, o := range []struct {
		outcome rules.Outcome
		word    string
	}{{rules.Failed, "failed"}, {rules.Broken, "broken"}, {rules.Skipped, "skipped"}} {
		if n := r.Count(o.outcome); n > 0 {
			fmt.Fprintf(std.Out, ", %d %s", n, o.word)
		}
	}
	fmt.Fprintln(std.Out)
	if !f.coverage {
		return nil
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "coverage\t%.1f%%\n", r.Coverage)
	for _, file := range r.Files {
		fmt.Fprintf(w, "%s\t%.1f%%", line(file.File), file.Coverage)
		if len(file.Missed) > 0 {
			fmt.Fprint(w, "\tnot reached: "+ranges(file.Missed))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// given narrows coverage to the policies that the caller gave: what was built in, and the tests themselves, say nothing
// about his tests.
func given(r *rules.Report) {
	r.Files = slices.DeleteFunc(r.Files, func(f rules.FileCoverage) bool {
		return strings.HasPrefix(f.File, "builtin:") || strings.HasSuffix(f.File, "_test.rego")
	})
	covered, all := 0, 0
	for _, f := range r.Files {
		covered, all = covered+len(f.Covered), all+len(f.Covered)+len(f.Missed)
	}
	if r.Coverage = 0; all > 0 {
		r.Coverage = 100 * float64(covered) / float64(all)
	}
}

// ranges writes sorted line numbers as "3, 7-9".
func ranges(lines []int) string {
	var b strings.Builder
	for i := 0; i < len(lines); {
		j := i
		for j+1 < len(lines) && lines[j+1] == lines[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d", lines[i])
		if j > i {
			fmt.Fprintf(&b, "-%d", lines[j])
		}
		i = j + 1
	}
	return b.String()
}
