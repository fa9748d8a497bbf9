// Package curves measures how the cost of one item grows with the number of items, and draws
// it. The test of this package is the program:
//
//	go -C examples test ./curves -count 1 -run Curves -curves bench
//
// writes examples/bench/curves.svg and the numbers in it as examples/bench/curves.csv. Where a
// curve is flat, the whole is linear.
package curves

import (
	"fmt"
	"html/template"
	"io"
	"math"
)

// A Curve is the cost of an item at each number of items.
type Curve struct {
	Name, Unit string
	N          []int
	Cost       []float64 // in the unit, for each item
}

const (
	width, height = 260, 150 // of a panel
	left, top     = 40, 30   // of its plot
	right, bottom = 12, 24
	columns       = 3
)

var page = template.Must(template.New("svg").Parse(`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="{{.Height}}" font-family="sans-serif" font-size="10">
<rect width="100%" height="100%" fill="white"/>
{{range .Panels}}<g transform="translate({{.X}} {{.Y}})">
<text x="{{$.Left}}" y="16" font-size="11">{{.Name}}, {{.Unit}}</text>
<path d="M{{$.Left}} {{$.Top}}V{{$.Base}}H{{$.End}}" fill="none" stroke="#888"/>
<text x="{{$.Left}}" dx="-4" y="{{$.Top}}" dy="4" text-anchor="end">{{.Most}}</text><text x="{{$.Left}}" dx="-4" y="{{$.Base}}" text-anchor="end">0</text>
<polyline points="{{.Line}}" fill="none" stroke="#06c" stroke-width="1.5"/>
{{range .Points}}<circle cx="{{.X}}" cy="{{.Y}}" r="2.5" fill="#06c"/><text x="{{.X}}" y="{{$.Base}}" dy="13" text-anchor="middle">{{.N}}</text>
{{end}}</g>
{{end}}</svg>
`))

type point struct{ X, Y, N string }

type panel struct {
	X, Y                   int
	Name, Unit, Most, Line string
	Points                 []point
}

// Draw writes the curves as SVG, a panel each: the number of items on a logarithmic axis, and
// the cost of an item on a linear one from 0. A curve has a point at least.
func Draw(w io.Writer, curves []Curve) error {
	var panels []panel
	for i, c := range curves {
		p := panel{X: i % columns * width, Y: i / columns * height, Name: c.Name, Unit: c.Unit}
		most := 0.0
		for _, cost := range c.Cost {
			most = max(most, cost)
		}
		most *= 1.2
		p.Most = number(most)
		span := math.Log(float64(c.N[len(c.N)-1]) / float64(c.N[0]))
		for j, n := range c.N {
			x := float64(left + 10)
			if span > 0 {
				x += math.Log(float64(n)/float64(c.N[0])) / span * (width - left - right - 20)
			}
			y := float64(height-bottom) - c.Cost[j]/most*(height-top-bottom)
			p.Points = append(p.Points, point{fmt.Sprintf("%.0f", x), fmt.Sprintf("%.0f", y), number(float64(n))})
			p.Line += fmt.Sprintf("%.0f,%.0f ", x, y)
		}
		panels = append(panels, p)
	}
	rows := (len(curves) + columns - 1) / columns
	return page.Execute(w, map[string]any{
		"Width": columns * width, "Height": rows * height, "Panels": panels,
		"Left": left, "Top": top, "Base": height - bottom, "End": width - right,
	})
}

// number returns n with two digits and a letter for thousands or millions.
func number(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2gM", n/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.4gk", math.Round(n/100)/10)
	case n >= 100:
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.2g", n)
}
