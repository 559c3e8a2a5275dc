package rules

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a policy, a data file or an option, with its place.
type Problem struct {
	File    string // as the operator named it, or the origin of a stored policy; empty for an option
	Line    int    // from 1; 0 where the place is the whole file
	Column  int    // from 1, in characters; 0 where it is not known
	Policy  string // policy id, where it is known
	Rule    string // rule id, where one is at fault
	Field   string // such as rules[2].conditions[0].operator, or policies.entrypoint
	Detail  string // what is wrong and what was expected, in lower case
	Nearest string // the known name nearest to the one found, where there is one
}

// Error is the problem on one line: place, whose it is, what is wrong.
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			b.WriteString(":" + strconv.Itoa(p.Line))
			if p.Column > 0 {
				b.WriteString(":" + strconv.Itoa(p.Column))
			}
		}
		b.WriteString(": ")
	}
	for _, part := range [...][2]string{{"policy ", p.Policy}, {"rule ", p.Rule}, {"", p.Field}} {
		if part[1] != "" {
			b.WriteString(part[0] + part[1] + ": ")
		}
	}
	b.WriteString(p.Detail)
	if p.Nearest != "" {
		b.WriteString(" (did you mean " + strconv.Quote(p.Nearest) + "?)")
	}
	return b.String()
}

// Problems is the error of Load and of whatever else reads policies: everything that is wrong, sorted by place.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i := range ps {
		lines[i] = ps[i].Error()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the problems by place, each once.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column,
			strings.Compare(a.Policy, b.Policy), strings.Compare(a.Field, b.Field), strings.Compare(a.Detail, b.Detail))
	})
	return slices.Compact(ps)
}

func (ps *Problems) add(p Problem) { *ps = append(*ps, p) }

// orNil is the problems as an error, nil where there are none.
func (ps Problems) orNil() error {
	if len(ps) == 0 {
		return nil
	}
	return ps.sorted()
}

// nearest is the candidate with the smallest edit distance to word, empty where none is near enough to be meant.
func nearest(word string, candidates []string) string {
	best, at := "", 1+len(word)/3
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), c); d <= at && d < len(c) {
			if d == at && best != "" {
				continue
			}
			best, at = c, d
		}
	}
	return best
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
