package main

import (
	"fmt"
	"strings"

	"thymus/bench/plot"
)

// sheet is the report twice: as Markdown, and as a page with figures.
type sheet struct {
	md strings.Builder
	p  *plot.Page
}

func newSheet(title string) *sheet {
	s := &sheet{p: plot.NewPage(title)}
	s.md.WriteString("# " + title + "\n")
	return s
}

func (s *sheet) heading(t string) {
	fmt.Fprintf(&s.md, "\n## %s\n", t)
	s.p.Heading(t)
}

func (s *sheet) text(format string, args ...any) {
	t := fmt.Sprintf(format, args...)
	fmt.Fprintf(&s.md, "\n%s\n", t)
	s.p.Text(t)
}

// note is a text that must not be overlooked.
func (s *sheet) note(format string, args ...any) {
	t := fmt.Sprintf(format, args...)
	fmt.Fprintf(&s.md, "\n> %s\n", t)
	s.p.Note(t)
}

func (s *sheet) list(items []string) {
	s.md.WriteString("\n")
	for _, t := range items {
		fmt.Fprintf(&s.md, "- %s\n", t)
	}
	s.p.List(items)
}

func (s *sheet) code(t string) {
	fmt.Fprintf(&s.md, "\n```\n%s\n```\n", t)
	s.p.Code(t)
}

func (s *sheet) table(head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	line := func(cells []string) {
		for _, c := range cells {
			if mid, bounds, ok := strings.Cut(c, "\n"); ok {
				c = mid + " (" + bounds + ")"
			}
			s.md.WriteString("| " + c + " ")
		}
		s.md.WriteString("|\n")
	}
	s.md.WriteString("\n")
	line(head)
	s.md.WriteString("|---|" + strings.Repeat("---:|", len(head)-1) + "\n")
	for _, r := range rows {
		line(r)
	}
	s.p.Table(head, rows)
}

// figure is on the page alone.
func (s *sheet) figure(svg string) { s.p.Figure(svg) }

// number is a figure for a table, nothing where it is not known.
func number(v float64) string {
	switch {
	case v < 0:
		return ""
	case v < 1000: // plot's are percentiles between 99 and 100
		return fmt.Sprintf("%.3g", v)
	}
	return plot.Number(v)
}

func (s spread) String() string {
	if s.high-s.low < 0.02*s.mid || s.low == s.high {
		return number(s.mid)
	}
	return fmt.Sprintf("%s\n%s–%s", number(s.mid), number(s.low), number(s.high))
}

// part is a over b.
func part(a, b float64) string {
	if b <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}
