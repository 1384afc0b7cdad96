package bench

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// The chart's measures, in pixels.
const (
	chartWidth  = 760
	chartLabels = 230 // for the names, left of the bars
	chartValues = 110 // for the figures, right of the longest
	barHeight   = 20
	barRoom     = 28
	chartHead   = 48
)

// barColours are those of the kinds: readable on white and on a dark page.
var barColours = map[string]string{KindKernel: "#2f7ed8", KindDevice: "#3a9d5d", KindRival: "#d9822b", KindBaseline: "#8a8f98"}

// WriteChart draws the rates of one thread as an SVG: each kernel with the number
// of versions that suits it best, other miners, and the baselines, fastest first. A
// device is drawn as a whole.
// It writes nothing where rows have no such rate.
func WriteChart(w io.Writer, title string, rows []Row) error {
	bars := chartRows(rows)
	if len(bars) == 0 {
		return nil
	}
	height := chartHead + barRoom*len(bars) + 12
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, `<title>%s</title>`+"\n", html.EscapeString(title))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<text x="12" y="26" font-size="15" font-weight="600" fill="#1b1f24">%s</text>`+"\n", html.EscapeString(title))
	for i, r := range bars {
		y := chartHead + barRoom*i
		width := max(1, r.MHS/bars[0].MHS*(chartWidth-chartLabels-chartValues))
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="#1b1f24">%s</text>`+"\n", chartLabels-10, y+15, html.EscapeString(r.label()))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", chartLabels, y, width, barHeight, barColours[r.Kind])
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="#1b1f24">%.1f MH/s</text>`+"\n", chartLabels+width+8, y+15, r.MHS)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// label names a row in the chart.
func (r *Row) label() string {
	switch {
	case r.Kind == KindKernel && r.Versions > 1:
		return fmt.Sprintf("%s, %d versions", r.Name, r.Versions)
	case r.Kind == KindDevice:
		return fmt.Sprintf("%s, %d version(s)", r.Name, r.Versions)
	case r.Kind == KindRival:
		return r.Name + " (another miner)"
	case r.Kind == KindBaseline:
		return r.Name + " (library)"
	}
	return r.Name
}

// chartRows returns the rows of one thread, each name once, with its best rate.
func chartRows(rows []Row) (bars []Row) {
	for _, r := range rows {
		if r.Threads != 1 && r.Kind != KindDevice || barColours[r.Kind] == "" {
			continue
		}
		same := slices.IndexFunc(bars, func(b Row) bool { return b.Kind == r.Kind && b.Name == r.Name })
		switch {
		case same < 0:
			bars = append(bars, r)
		case bars[same].MHS < r.MHS:
			bars[same] = r
		}
	}
	slices.SortStableFunc(bars, func(a, b Row) int { return cmp.Compare(b.MHS, a.MHS) })
	return bars
}
