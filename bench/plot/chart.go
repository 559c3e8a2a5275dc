package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Series is one line of a chart, or one bar of a group where there is one point. Points are in the order of X.
type Series struct {
	Name   string
	Points [][2]float64
	Colour int // from 1, so that a name has one colour in all of a page's figures; 0: by its place
}

// Scale is how an axis runs.
type Scale uint8

// The scales. Nines is for percentiles: 90, 99, 99.9 are the same distance apart; 100 and more is its right end.
const (
	Linear Scale = iota
	Log
	Nines
)

// Chart is a figure with two axes.
type Chart struct {
	Title, X, Y string
	ScaleX      Scale
	ScaleY      Scale
	Series      []Series
}

// Measures of a drawing, in SVG's units; it is scaled to the width of the page.
const (
	width, height            = 720.0, 380.0
	left, right, top, bottom = 64.0, 24.0, 24.0, 54.0
)

// colours are told apart by the colour-blind too (Okabe and Ito), and lines by their dashes besides.
func colour(i int) (stroke, dash string) {
	colours := [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a"}
	dashes := [...]string{"", "7 3", "2 3", "9 3 2 3"}
	return colours[i%len(colours)], dashes[(i/len(colours)+i)%len(dashes)]
}

// shade is the colour that was chosen, or that of the place.
func shade(chosen, place int) int {
	if chosen > 0 {
		return chosen - 1
	}
	return place
}

func nines(p float64) float64 {
	return -math.Log10(1 - min(p, 99.9999)/100)
}

func (s Scale) place(v float64) float64 {
	switch s {
	case Log:
		return math.Log10(max(v, 1e-9))
	case Nines:
		return nines(v)
	}
	return v
}

// axis is one direction of a drawing.
type axis struct {
	scale      Scale
	from, to   float64 // placed
	start, end float64 // on the drawing
	ticks      []float64
}

func (a *axis) at(v float64) float64 {
	f := (a.scale.place(v) - a.from) / (a.to - a.from)
	return a.start + min(max(f, 0), 1)*(a.end-a.start)
}

// newAxis fits an axis around values, 0 included where it is linear.
func newAxis(s Scale, values []float64, start, end float64) *axis {
	a := &axis{scale: s, start: start, end: end}
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if s == Log && v <= 0 || s == Nines && v >= 100 { // the hundredth lies at the end, wherever that is
			continue
		}
		low, high = min(low, v), max(high, v)
	}
	if math.IsInf(low, 0) {
		low, high = 1, 10
	}
	switch s {
	case Log:
		a.from, a.to = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
		if a.to <= a.from {
			a.to = a.from + 1
		}
		for e := a.from; e <= a.to; e++ {
			a.ticks = append(a.ticks, math.Pow(10, e))
		}
	case Nines:
		a.from, a.to = 0, max(2, nines(high))
		for _, p := range [...]float64{0, 50, 90, 99, 99.9, 99.99, 99.999} {
			if nines(p) <= a.to+1e-9 {
				a.ticks = append(a.ticks, p)
			}
		}
	default:
		step := math.Pow(10, math.Floor(math.Log10(max(high, 1e-9))))
		for _, f := range [...]float64{0.2, 0.5, 1, 2} {
			if high/(step*f) <= 6 {
				step *= f
				break
			}
		}
		a.from, a.to = 0, math.Ceil(high/step)*step
		if a.to <= 0 {
			a.to = 1
		}
		for v := 0.0; v <= a.to+step/2; v += step {
			a.ticks = append(a.ticks, v)
		}
	}
	return a
}

// SVG draws the chart.
func (c *Chart) SVG() string {
	var xs, ys []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			xs, ys = append(xs, p[0]), append(ys, p[1])
		}
	}
	x := newAxis(c.ScaleX, xs, left, width-right)
	y := newAxis(c.ScaleY, ys, height-bottom, top)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, html.EscapeString(c.Title))
	for _, v := range y.ticks {
		fmt.Fprintf(&b, `<path class="grid" d="M%g %.1fH%g"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, y.at(v), width-right, left-6, y.at(v)+4, short(v))
	}
	for _, v := range x.ticks {
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %gV%g"/><text x="%.1f" y="%g" text-anchor="middle">%s</text>`,
			x.at(v), top, height-bottom, x.at(v), height-bottom+18, short(v))
	}
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">%s</text>`, (left+width-right)/2, height-8, html.EscapeString(c.X))
	fmt.Fprintf(&b, `<text x="%g" y="16">%s</text>`, left, html.EscapeString(c.Y))
	for i, s := range c.Series {
		stroke, dash := colour(shade(s.Colour, i))
		d, move := "", "M"
		for _, p := range s.Points {
			if c.ScaleY == Log && p[1] <= 0 || c.ScaleX == Log && p[0] <= 0 {
				continue
			}
			d += fmt.Sprintf("%s%.1f %.1f", move, x.at(p[0]), y.at(p[1]))
			move = "L"
		}
		if d == "" {
			continue
		}
		fmt.Fprintf(&b, `<path class="line" stroke="%s" stroke-dasharray="%s" d="%s"><title>%s</title></path>`, stroke, dash, d, html.EscapeString(s.Name))
		if len(s.Points) <= 12 {
			for _, p := range s.Points {
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, x.at(p[0]), y.at(p[1]), stroke)
			}
		}
	}
	b.WriteString(`</svg>`)
	return figure(c.Title, b.String(), c.Series)
}

// figure puts a drawing under its title, with a legend where there is more than one series.
func figure(title, svg string, ss []Series) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<figure><figcaption>%s</figcaption>%s", html.EscapeString(title), svg)
	if len(ss) > 1 {
		b.WriteString(`<p class="legend">`)
		for i, s := range ss {
			stroke, dash := colour(shade(s.Colour, i))
			fmt.Fprintf(&b, `<span><svg viewBox="0 0 28 8"><path class="line" stroke="%s" stroke-dasharray="%s" d="M0 4H28"/></svg> %s</span> `,
				stroke, dash, html.EscapeString(s.Name))
		}
		b.WriteString("</p>")
	}
	b.WriteString("</figure>\n")
	return b.String()
}

// Bar is one bar; the whisker runs from Low to High where they differ.
type Bar struct {
	Name             string
	Value, Low, High float64
	Colour           int // as a series'
}

// Bars draws horizontal bars from 0, each under its name, with its value behind it.
func Bars(title, unit string, bars []Bar) string {
	most := 0.0
	for _, v := range bars {
		most = max(most, v.Value, v.High)
	}
	const row, label, thick, after = 48.0, 18.0, 18.0, 170.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, row*float64(len(bars))+4, html.EscapeString(title))
	for i, v := range bars {
		y := row * float64(i)
		scale := (width - after) / max(most, 1e-12)
		stroke, _ := colour(shade(v.Colour, i))
		fmt.Fprintf(&b, `<text x="0" y="%g">%s</text><rect x="0" y="%g" width="%.1f" height="%g" rx="2" fill="%s"/>`,
			y+label-3, html.EscapeString(v.Name), y+label+2, max(v.Value*scale, 1), thick, stroke)
		if v.High > v.Low {
			fmt.Fprintf(&b, `<path class="whisker" d="M%.1f %gH%.1f"/>`, v.Low*scale, y+label+2+thick/2, v.High*scale)
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%g">%s</text>`, max(v.Value, v.High)*scale+8, y+label+thick-1, html.EscapeString(strings.TrimSpace(Number(v.Value)+" "+unit)))
	}
	b.WriteString("</svg>")
	return figure(title, b.String(), nil)
}

// short is a number for an axis: thousands and millions by letters, so that it fits in large type too.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return Number(v)
}

// Number writes a figure with three significant digits, thousands in groups.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e15 || math.IsNaN(v):
		return fmt.Sprint(v)
	case a >= 1000:
		s := fmt.Sprintf("%.0f", v)
		for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case a > 99 && a < 100: // percentiles have their own digits
		return strings.TrimRight(fmt.Sprintf("%.4f", v), "0")
	}
	return fmt.Sprintf("%.3g", v)
}
