// Package plot draws figures of measurements as SVG and puts them on HTML pages that need nothing else: no script, no
// font, no picture from elsewhere. Pages fit a telephone's width and heed the reader's choice of light or dark.
//
// Left to others: what is measured (bench/load, bench/compare) and what is said about it.
package plot
