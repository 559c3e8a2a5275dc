package plot_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"thymus/bench/plot"
)

// wellFormed reads a drawing as XML.
func wellFormed(t *testing.T, s string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader("<x>" + s + "</x>"))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, s)
		}
	}
}

var points = regexp.MustCompile(`[ML]([\d.]+) ([\d.]+)`)

func TestPointsLieWhereTheirValuesSay(t *testing.T) {
	for _, c := range []struct {
		name   string
		x, y   plot.Scale
		points [][2]float64
		equal  bool // the steps to the right are equally long
	}{
		{"linear", plot.Linear, plot.Linear, [][2]float64{{0, 0}, {5, 50}, {10, 100}}, true},
		{"logarithmic", plot.Log, plot.Log, [][2]float64{{1, 0.1}, {10, 1}, {100, 10}}, true},
		{"percentiles", plot.Nines, plot.Log, [][2]float64{{90, 1}, {99, 2}, {99.9, 4}}, true},
		{"a hundred percent lies at the end", plot.Nines, plot.Linear, [][2]float64{{0, 1}, {50, 2}, {100, 4}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			svg := (&plot.Chart{Title: `a "title" <b>`, X: "x", Y: "y & z", ScaleX: c.x, ScaleY: c.y, Series: []plot.Series{{Name: "s", Points: c.points}}}).SVG()
			wellFormed(t, svg)
			_, path, _ := strings.Cut(svg, `class="line"`)
			found := points.FindAllStringSubmatch(path, 3)
			if len(found) != 3 {
				t.Fatalf("%d points in %s", len(found), svg)
			}
			var at [3][2]float64
			for i, f := range found {
				at[i][0], _ = strconv.ParseFloat(f[1], 64)
				at[i][1], _ = strconv.ParseFloat(f[2], 64)
				if at[i][0] < 0 || at[i][0] > 720 || at[i][1] < 0 || at[i][1] > 380 || i > 0 && (at[i][0] <= at[i-1][0] || at[i][1] >= at[i-1][1]) {
					t.Errorf("point %d lies at %v, after %v", i, at[i], at[max(i-1, 0)])
				}
			}
			if d := (at[2][0] - at[1][0]) - (at[1][0] - at[0][0]); c.equal && math.Abs(d) > 0.3 {
				t.Errorf("steps differ by %g: %v", d, at)
			}
		})
	}
}

func TestNothingToDrawIsDrawn(t *testing.T) {
	wellFormed(t, (&plot.Chart{Title: "nothing"}).SVG())
	wellFormed(t, (&plot.Chart{ScaleX: plot.Log, ScaleY: plot.Log, Series: []plot.Series{{Name: "zeroes", Points: [][2]float64{{0, 0}, {1, 0}}}}}).SVG())
	wellFormed(t, plot.Bars("none", "s", nil))
}

func TestBarsAreAsLongAsTheirValues(t *testing.T) {
	svg := plot.Bars("b", "<s>", []plot.Bar{{Name: "a", Value: 10}, {Name: "b", Value: 5, Low: 4, High: 10}})
	wellFormed(t, svg)
	m := regexp.MustCompile(`<rect [^>]* width="([\d.]+)"`).FindAllStringSubmatch(svg, -1)
	if len(m) != 2 {
		t.Fatal(svg)
	}
	a, _ := strconv.ParseFloat(m[0][1], 64)
	b, _ := strconv.ParseFloat(m[1][1], 64)
	if math.Abs(a-2*b) > 0.2 || strings.Count(svg, "whisker") != 1 {
		t.Errorf("%g and %g", a, b)
	}
}

func ExampleNumber() {
	fmt.Println(plot.Number(1234567), plot.Number(0.12345), plot.Number(99.99), plot.Number(-1234), plot.Number(42))
	// Output: 1,234,567 0.123 99.99 -1,234 42
}

func TestAPageNeedsNothingElse(t *testing.T) {
	p := plot.NewPage("<title>")
	p.Heading("<h>")
	p.Text("a & b")
	p.Code("<c>")
	p.Table([]string{"<th>"}, [][]string{{"<td>"}})
	page := p.String()
	for _, bad := range []string{"<script", "http://", "https://", "@import", "<h>", "<c>", "<td>\"", "&lt;title&gt;</h1><"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !strings.Contains(page, `name="viewport"`) || !strings.Contains(page, "prefers-color-scheme:dark") || !strings.Contains(page, "<td>&lt;td&gt;</td>") {
		t.Error("the page is not whole")
	}
}
