package plot

import (
	"fmt"
	"html"
	"strings"
)

// Page is an HTML page that is put together from above to below.
type Page struct {
	title string
	heads []string
	b     strings.Builder
}

// NewPage begins one.
func NewPage(title string) *Page {
	return &Page{title: title}
}

// Heading adds one of the second rank. From four on, a page begins with a list of them.
func (p *Page) Heading(s string) {
	p.heads = append(p.heads, s)
	fmt.Fprintf(&p.b, "<h2 id=\"s%d\">%s</h2>\n", len(p.heads), html.EscapeString(s))
}

// Note adds a paragraph that must not be overlooked.
func (p *Page) Note(s string) {
	p.b.WriteString("<p class=\"note\">" + html.EscapeString(s) + "</p>\n")
}

// Text adds a paragraph.
func (p *Page) Text(s string) { p.b.WriteString("<p>" + html.EscapeString(s) + "</p>\n") }

// Code adds text as it is.
func (p *Page) Code(s string) { p.b.WriteString("<pre>" + html.EscapeString(s) + "</pre>\n") }

// List adds one of several points.
func (p *Page) List(items []string) {
	p.b.WriteString("<ul>\n")
	for _, s := range items {
		p.b.WriteString("<li>" + html.EscapeString(s) + "</li>\n")
	}
	p.b.WriteString("</ul>\n")
}

// Figure adds what Chart.SVG or Bars drew.
func (p *Page) Figure(svg string) { p.b.WriteString(svg) }

// Table adds one; the first column is of words, the others of figures. What follows a line break in a cell is set small
// below it. It scrolls by itself where it is too wide, and its first column stays in sight.
func (p *Page) Table(head []string, rows [][]string) {
	p.b.WriteString("<div class=\"wide\"><table><thead><tr>")
	for _, h := range head {
		p.b.WriteString("<th>" + html.EscapeString(h) + "</th>")
	}
	p.b.WriteString("</tr></thead><tbody>\n")
	for _, r := range rows {
		p.b.WriteString("<tr>")
		for _, c := range r {
			c, small, _ := strings.Cut(c, "\n")
			p.b.WriteString("<td>" + html.EscapeString(c))
			if small != "" {
				p.b.WriteString("<small>" + html.EscapeString(small) + "</small>")
			}
			p.b.WriteString("</td>")
		}
		p.b.WriteString("</tr>\n")
	}
	p.b.WriteString("</tbody></table></div>\n")
}

// String is the page.
func (p *Page) String() string {
	var nav strings.Builder
	if len(p.heads) > 3 {
		nav.WriteString("<nav><ul>")
		for i, h := range p.heads {
			fmt.Fprintf(&nav, "<li><a href=\"#s%d\">%s</a></li>", i+1, html.EscapeString(h))
		}
		nav.WriteString("</ul></nav>\n")
	}
	return fmt.Sprintf(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>%[1]s</title><style>%[2]s</style></head>
<body><main>
<h1>%[1]s</h1>
%[3]s%[4]s</main></body></html>
`, html.EscapeString(p.title), style, nav.String(), p.b.String())
}

const style = `
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--faint:#d9d9d9;--soft:#666}
@media (prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#161616;--faint:#3a3a3a;--soft:#a0a0a0}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.7rem;line-height:1.2}h2{font-size:1.25rem;margin-top:2.6rem;padding-top:.6rem;border-top:1px solid var(--faint)}
p,ul{max-width:46rem}li{margin:.15rem 0}a{color:inherit;text-decoration-color:var(--soft)}
nav ul{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;padding:0;list-style:none;font-size:.9rem;max-width:none}
.note{border-left:4px solid #d55e00;padding:.2rem .9rem}
figure{margin:1.5rem 0}figcaption{font-weight:600;margin-bottom:.3rem}
figure>svg{width:100%;max-width:52rem;height:auto;display:block}
svg text{font-size:13px;fill:var(--ink)}
.grid{stroke:var(--faint);fill:none}.line{fill:none;stroke-width:2.5}.whisker{stroke:var(--ink);stroke-width:2}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.3rem 0;color:var(--soft);font-size:.9rem}
.legend svg{width:28px;height:8px}
.wide{overflow-x:auto;margin:1rem 0}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--faint);text-align:right;vertical-align:top}
th{vertical-align:bottom;font-weight:600;line-height:1.25;min-width:4.2rem}td{white-space:nowrap}
td small{display:block;color:var(--soft);font-size:.8em}
th:first-child,td:first-child{text-align:left;white-space:normal;min-width:7rem;padding-left:0;position:sticky;left:0;background:var(--paper)}
pre{overflow-x:auto;padding:.7rem;border:1px solid var(--faint);font-size:.85rem}
@media (max-width:34rem){svg text{font-size:23px}h1{font-size:1.4rem}ul{padding-left:1.2rem}th,td{padding:.3rem .45rem}th{min-width:3rem}}
`
