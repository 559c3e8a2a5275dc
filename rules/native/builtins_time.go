package native

import (
	"math"
	"strings"
	"time"
)

// timeBuiltins are OPA's for what integers of nanoseconds stand for; a moment is a number, or an array of one, a zone
// and a layout.
var timeBuiltins = map[string]native{
	"time.now_ns":            func(m *machine, _ []val) (val, bool) { return intVal(m.bridge.clock()), true },
	"time.parse_rfc3339_ns":  func(_ *machine, a []val) (val, bool) { return parseTime(time.RFC3339, a[0]) },
	"time.parse_ns":          parseLayout,
	"time.parse_duration_ns": parseDuration,
	"time.clock":             clockOf,
	"time.date":              dateOf,
	"time.weekday":           weekdayOf,
	"time.format":            formatTime,
	"time.add_date":          addDate,
	"time.diff":              timeDiff,
}

// layouts are the names that OPA knows, from package time.
var layouts = map[string]string{
	"ANSIC": time.ANSIC, "UnixDate": time.UnixDate, "RubyDate": time.RubyDate, "RFC822": time.RFC822,
	"RFC822Z": time.RFC822Z, "RFC850": time.RFC850, "RFC1123": time.RFC1123, "RFC1123Z": time.RFC1123Z,
	"RFC3339": time.RFC3339, "RFC3339Nano": time.RFC3339Nano,
}

// maxLayout is how long a layout may be, and a text to be read by one.
const maxLayout = 1 << 10

func parseTime(layout string, v val) (val, bool) {
	if v.kind != text || v.n > maxLayout {
		return val{}, false
	}
	t, err := time.Parse(layout, v.str())
	if err != nil {
		return val{}, false
	}
	return nanoseconds(t)
}

// nanoseconds is a moment as a number, as far as 64 bits go.
func nanoseconds(t time.Time) (val, bool) {
	if t.Before(time.Unix(0, math.MinInt64)) || t.After(time.Unix(0, math.MaxInt64)) {
		return val{}, false
	}
	return intVal(t.UnixNano()), true
}

func parseLayout(_ *machine, a []val) (val, bool) {
	if a[0].kind != text || a[0].n > maxLayout {
		return val{}, false
	}
	layout := a[0].str()
	if known, ok := layouts[layout]; ok {
		layout = known
	}
	return parseTime(layout, a[1])
}

// parseDuration leaves days, weeks and years to OPA.
func parseDuration(_ *machine, a []val) (val, bool) {
	if a[0].kind != text || strings.ContainsAny(a[0].str(), "dwy") {
		return val{}, false
	}
	d, err := time.ParseDuration(a[0].str())
	return intVal(int64(d)), err == nil
}

// moment reads a moment and its layout.
func (m *machine) moment(v val) (t time.Time, layout string, ok bool) {
	if v.isInt() {
		return time.Unix(0, v.n).UTC(), "", true
	}
	if v.kind != array {
		return t, "", false
	}
	e := m.lower(v).e
	if len(e) == 0 || !e[0].isInt() {
		return t, "", false
	}
	loc := time.UTC
	if len(e) > 1 {
		if e[1].kind != text {
			return t, "", false
		}
		if loc = m.prog.zones.find(e[1].str()); loc == nil {
			return t, "", false
		}
	}
	if len(e) > 2 {
		if e[2].kind != text || e[2].n > maxLayout {
			return t, "", false
		}
		layout = e[2].str()
	}
	return time.Unix(0, e[0].n).In(loc), layout, true
}

func (m *machine) ints(ns ...int) (val, bool) {
	n := m.arena.node()
	for _, x := range ns {
		n.e = append(n.e, intVal(int64(x)))
	}
	return nodeVal(array, n), true
}

func clockOf(m *machine, a []val) (val, bool) {
	t, _, ok := m.moment(a[0])
	if !ok {
		return val{}, false
	}
	return m.ints(t.Clock())
}

func dateOf(m *machine, a []val) (val, bool) {
	t, _, ok := m.moment(a[0])
	if !ok {
		return val{}, false
	}
	year, month, day := t.Date()
	return m.ints(year, int(month), day)
}

func weekdayOf(m *machine, a []val) (val, bool) {
	t, _, ok := m.moment(a[0])
	if !ok {
		return val{}, false
	}
	return strVal(t.Weekday().String()), true
}

func formatTime(m *machine, a []val) (val, bool) {
	t, layout, ok := m.moment(a[0])
	if !ok {
		return val{}, false
	}
	if layout == "" {
		layout = time.RFC3339Nano
	} else if known, ok := layouts[layout]; ok {
		layout = known
	}
	from := len(m.text)
	m.text = t.AppendFormat(m.text, layout)
	return m.makeText(from), true
}

func addDate(m *machine, a []val) (val, bool) {
	t, _, ok := m.moment(a[0])
	if !ok || !a[1].isInt() || !a[2].isInt() || !a[3].isInt() {
		return val{}, false
	}
	return nanoseconds(t.AddDate(int(a[1].n), int(a[2].n), int(a[3].n)))
}

// timeDiff is the time between two moments by the calendar: years, months, days, hours, minutes, seconds. What is
// negative borrows from the next larger unit; a month lends the days that the earlier moment's month has.
func timeDiff(m *machine, a []val) (val, bool) {
	t, _, ok := m.moment(a[0])
	u, _, also := m.moment(a[1])
	if !ok || !also {
		return val{}, false
	}
	if u = u.In(t.Location()); t.After(u) {
		t, u = u, t
	}
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	toYear, toMonth, toDay := u.Date()
	toHour, toMinute, toSecond := u.Clock()
	d := [6]int{toYear - year, int(toMonth - month), toDay - day, toHour - hour, toMinute - minute, toSecond - second}
	lends := [6]int{0, 12, time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day(), 24, 60, 60}
	for i := 5; i > 0; i-- {
		if d[i] < 0 {
			d[i] += lends[i]
			d[i-1]--
		}
	}
	return m.ints(d[:]...)
}
