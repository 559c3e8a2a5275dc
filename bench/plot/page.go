package plot

import (
	"fmt"
	"html"
	"strings"
)

// Page is an HTML page that is put together from above to below.
type Page struct {
	title string
	b     strings.Builder
}

// NewPage begins one.
func NewPage(title string) *Page {
	p := &Page{title: title}
	p.b.WriteString("<h1>" + html.EscapeString(title) + "</h1>\n")
	return p
}

// Heading adds one of the second rank.
func (p *Page) Heading(s string) { p.b.WriteString("<h2>" + html.EscapeString(s) + "</h2>\n") }

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

// Table adds one; the first column is of words, the others of figures. It scrolls by itself where it is too wide.
func (p *Page) Table(head []string, rows [][]string) {
	p.b.WriteString("<div class=\"wide\"><table><thead><tr>")
	for _, h := range head {
		p.b.WriteString("<th>" + html.EscapeString(h) + "</th>")
	}
	p.b.WriteString("</tr></thead><tbody>\n")
	for _, r := range rows {
		p.b.WriteString("<tr>")
		for _, c := range r {
			p.b.WriteString("<td>" + html.EscapeString(c) + "</td>")
		}
		p.b.WriteString("</tr>\n")
	}
	p.b.WriteString("</tbody></table></div>\n")
}

// String is the page.
func (p *Page) String() string {
	return fmt.Sprintf(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title><style>%s</style></head>
<body><main>
%s</main></body></html>
`, html.EscapeString(p.title), style, p.b.String())
}

const style = `
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--faint:#d9d9d9;--soft:#666}
@media (prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#161616;--faint:#3a3a3a;--soft:#a0a0a0}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:52rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.2rem;margin-top:2rem}
figure{margin:1.5rem 0}figcaption{font-weight:600;margin-bottom:.3rem}
figure>svg{width:100%;height:auto;display:block}
svg text{font-size:13px;fill:var(--ink)}
@media (max-width:34rem){svg text{font-size:19px}}
.grid{stroke:var(--faint);fill:none}.line{fill:none;stroke-width:2.5}.whisker{stroke:var(--ink);stroke-width:2}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.3rem 0;color:var(--soft);font-size:.9rem}
.legend svg{width:28px;height:8px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border-bottom:1px solid var(--faint);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
pre{overflow-x:auto;padding:.7rem;border:1px solid var(--faint);font-size:.85rem}
`
