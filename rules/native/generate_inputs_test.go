package native_test

import (
	"fmt"
	"strings"
)

// input is a random request.
func (a *author) input() string {
	if a.chance(20) {
		return a.pick("null", "1", `"x"`, "[]", "{}")
	}
	v := func() string {
		return a.pick(`"x"`, `"y"`, `"z"`, `"xy"`, "0", "1", "2", "1.0", "true", "false", "null", "[1, 2]", `["x", 1]`, `{"a": 1}`, `{"x": {"y": 1}}`, "[]", "12345678901234567890", `"1"`, "-0", "1e2")
	}
	var ms []string
	for _, k := range []string{"a", "c", "e", "s"} {
		if !a.chance(6) {
			ms = append(ms, fmt.Sprintf("%q: %s", k, v()))
		}
	}
	if !a.chance(6) {
		ms = append(ms, fmt.Sprintf(`"b": {"c": %s, "d": %s}`, v(), v()))
	}
	list := func() string {
		n := a.r.Intn(4)
		if a.chance(12) {
			n = 20
		}
		es := make([]string, n)
		for i := range es {
			es[i] = v()
		}
		return "[" + strings.Join(es, ", ") + "]"
	}
	ms = append(ms, `"l": `+list())
	if a.chance(2) {
		ms = append(ms, fmt.Sprintf(`"o": {"y": %s, "x": %s, "k": %s}`, v(), v(), v()))
	}
	if a.chance(2) {
		ms = append(ms, fmt.Sprintf(`"m": {"x": {"y": %s}, "z": %s}`, v(), list()))
	}
	if !a.chance(4) {
		ms = append(ms, fmt.Sprintf(`"t": %s, "d": %s`, a.pick(moments...), a.pick(`"2024-02-29T12:34:56Z"`, `"2024-12-31T23:59:59+02:00"`, `"2024-02-30T00:00:00Z"`, `"1h30m"`, `"x"`, "1")))
		ms = append(ms, fmt.Sprintf(`"j": %s, "p": %s`, a.pick(jsonTexts...), a.pick(`"/svc/x/y"`, `"/svc"`, `"x/y"`, `" x "`, `"10.1.2.3"`, `"Xy"`, "1", `["x", "/svc"]`)))
	}
	if a.chance(2) {
		ms = append(ms, fmt.Sprintf(`"pairs": [[%s, %s], [%s, 1]]`, v(), v(), v()))
	}
	a.r.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
	return "{" + strings.Join(ms, ", ") + "}"
}

// baseData is what lies in the store beside the rules.
const baseData = `{"base": {"list": ["x", 1, {"a": 1}], "map": {"x": 1, "y": {"z": "x"}, "k": [1, 2]}, "n": 2, "nested": [[1], ["x"]],
 "pairs": [[1, 2], ["x", "y"]], "num": {"2": "two"},
 "rows": [{"k": "x", "v": 1}, {"k": "y", "v": {"w": "x"}}, {"v": 3}, {"k": 1, "v": 4}, {"k": 1.0, "v": 5}, {"k": "x", "v": "xy"}, 7, {"k": null},
  {"k": ["x", 1], "v": 8}, {"k": {"a": 1}, "v": 2}, {"k": true, "v": 1}, {"k": "y", "v": [1, 2]}],
 "table": {"a": {"k": "x", "v": "y"}, "b": {"k": "y"}, "c": {"k": 1, "v": 1}, "d": {"k": "x"}, "e": {"k": 2}, "f": {"v": 1}, "g": {"k": {"w": 1}}, "h": {"k": "x", "v": 1}, "i": {"k": "z"}, "j": {"k": false}}}}`

// ints is n numbers, separated by commas.
func ints(n int) string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprint(i)
	}
	return strings.Join(s, ",")
}

// wide is an object of n members.
func wide(n int) string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf(`"k%d":%d`, i, i)
	}
	return "{" + strings.Join(s, ",") + "}"
}
