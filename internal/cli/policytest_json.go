package cli

import "thymus/rules"

// testReport is the report of `thymus policy test -o json`.
type testReport struct {
	Passed   int            `json:"passed"`
	Failed   int            `json:"failed"`
	Broken   int            `json:"errors"`
	Skipped  int            `json:"skipped"`
	Tests    []testResult   `json:"tests"`
	Coverage *float64       `json:"coverage,omitempty"` // per cent
	Files    []fileCoverage `json:"files,omitempty"`
}

type testResult struct {
	File     string  `json:"file"`
	Line     int     `json:"line"`
	Package  string  `json:"package"`
	Name     string  `json:"name"`
	Outcome  string  `json:"outcome"`
	Error    string  `json:"error,omitempty"`
	Output   string  `json:"output,omitempty"`
	Duration float64 `json:"duration_ms"`
}

type fileCoverage struct {
	File     string  `json:"file"`
	Coverage float64 `json:"coverage"`
	Covered  []int   `json:"covered"`
	Missed   []int   `json:"missed"`
}

func (f *testFlags) document(r *rules.Report) testReport {
	d := testReport{
		Passed: r.Count(rules.Passed), Failed: r.Count(rules.Failed), Broken: r.Count(rules.Broken), Skipped: r.Count(rules.Skipped),
		Tests: make([]testResult, 0, len(r.Tests)),
	}
	for _, t := range r.Tests {
		d.Tests = append(d.Tests, testResult{
			File: t.File, Line: t.Line, Package: t.Package, Name: t.Name, Outcome: string(t.Outcome),
			Error: t.Error, Output: t.Output, Duration: float64(t.Duration.Microseconds()) / 1000,
		})
	}
	if !f.coverage {
		return d
	}
	d.Coverage = &r.Coverage
	for _, file := range r.Files {
		d.Files = append(d.Files, fileCoverage{
			File: file.File, Coverage: file.Coverage, Covered: append([]int{}, file.Covered...), Missed: append([]int{}, file.Missed...),
		})
	}
	return d
}
