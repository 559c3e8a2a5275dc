package native_test

import "strings"

// moments and jsonTexts are what inputs have of them, as JSON.
var (
	moments = []string{"1709210096789000000", "0", "-1", "1709210096789000000.0", `[1709210096789000000, "Europe/Amsterdam"]`, `[1678209896000000000, "America/New_York", "RFC822Z"]`,
		`[1709210096789000000, "No/Where"]`, `"x"`, "1e18"}
	jsonTexts = []string{`"{\"a\": 1, \"x\": [true, null]}"`, `"[1, 1.0, \"x\"]"`, `"{"`, `"\"x\""`, `"{\"a\": 1, \"a\": \"\\u0078\"}"`, `"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4IiwieCI6WzFdfQ.c2ln"`,
		`"eyJjdHkiOiJKV1QifQ.e30.c2ln"`, `"e30.e30"`, `"YWJj"`, `"YWJjZA"`, "1"}
)

// calls are the builtins that the engine has implementations of its own for, beside those that call draws. $T is any
// term, $S a term that is often text, $N a small number, $M a moment, $J text with JSON or a token in it, $P
// a path.
var calls = []string{
	"time.clock($M)", "time.date($M)", "time.weekday($M)", "time.format($M)", "time.add_date($M, $N, $N, $N)", "time.diff($M, $M)", "time.clock([$M, \"Asia/Tokyo\"])",
	"time.parse_rfc3339_ns(input.d)", "time.parse_duration_ns(input.d)", "time.parse_ns(\"RFC3339\", input.d)", "time.parse_ns(\"2006-01-02T15:04:05Z07:00\", input.d)",
	"json.unmarshal($J)", "json.unmarshal($S)", "io.jwt.decode($J)", "base64.decode($J)", "base64url.decode($J)", "base64.encode($S)", "base64url.encode_no_pad($S)", "hex.encode($S)", "json.marshal($S)",
	"sprintf(\"%s is %v\", [$S, $T])", "sprintf(\"%d%%\", [$N])", "sprintf($S, [$T])", "sprintf(\"%v\", [$S, $T])",
	"trim_prefix($P, $S)", "trim_suffix($P, \"y\")", "trim_left($S, \"/x\")", "trim_right($S, \"xy\")", "trim_space($P)", "split($P, \"/\")", "split($S, $S)",
	"replace($P, \"/\", $S)", "indexof($P, $S)", "strings.count($S, \"x\")", "substring($P, $N, $N)", "strings.any_prefix_match($P, {\"/svc\", \"x\"})", "strings.any_suffix_match($T, $T)",
	"concat($S, split($P, \"/\"))", "format_int($N, 16)", "to_number($S)", "upper($P)", "lower($P)",
	"array.slice($T, $N, $N)", "array.reverse($T)", "array.concat($T, input.l)", "object.remove(input.o, $T)", "object.filter(input.o, $T)", "object.filter($T, [\"x\", \"y\", $N])",
	"object.union(input.o, $T)", "object.union({\"x\": {\"y\": 1}}, input.m)", "object.keys(input.o)", "($T & {\"x\", 1, 1.5})", "({1.0, \"x\"} | $T)", "($T - {\"x\", 1.0})",
	"sum([$N, $N, $N])", "sum($T)", "max($T)", "min(input.l)", "sort(input.l)", "sort($T)", "($N / $N)", "($N % $N)", "round($N)", "ceil($N)", "floor($T)", "abs($N)", "count($S)",
	"net.cidr_contains(\"10.0.0.0/8\", $P)", "net.cidr_contains($S, $P)", "net.cidr_intersects(\"10.0.0.0/8\", \"10.1.0.0/16\")", "net.cidr_contains($P, $P)",
	"graph.reachable({\"x\": [\"y\", $T], \"y\": {\"z\", $S}, \"z\": $T}, [$S, $T])", "graph.reachable(data.base.map, {$S, $T})", "graph.reachable({1: [\"x\"], \"x\": [1.0, 2]}, [$N])", "graph.reachable($T, $T)",
	"regex.match($S, $P)", "regex.match(input.p, $S)", "regex.split(\"[/x]+\", $P)", "regex.split($S, $P)", "regex.find_n(\"[a-z]+\", $P, $N)", "regex.find_n($S, $P, -1)", "regex.replace($P, \"/(.)\", $S)", "regex.replace($P, $S, \"-\")",
	"glob.match($S, [\"/\"], $P)", "glob.match($P, $T, $S)", "glob.match(\"/**\", null, $P)", "walk($T)", "walk(input.l)", "union({{$T}, {$N, $S}})", "intersection({{$T, 1}, {$N, 1.0}})",
	"($N * $N)", "($N + 0.25)", "($N - $N)", "(input.a / 3)", "round(($N / 7))", "floor(($N * 1.5))", "to_number(\"1.50\")", "object.union_n([input.o, $T, {\"x\": {\"y\": $N}}])", "json.marshal([$S, $N, {\"k\": $S}])",
	"sprintf(\"%v and %q\", [$T, $S])", "sprintf(\"%.2f %v\", [$N, [$T]])", "semver.compare(\"1.2.3\", $S)", "semver.is_valid($T)", "units.parse_bytes(\"10Ki\")", "units.parse_bytes($S)", "numbers.range(1, count($S))", "numbers.range(3, -2)", "crypto.sha256($S)",
	"json.marshal($T)", "upper($S)", "crypto.hmac.sha256($S, $P)",
}

// builtin writes one of calls.
func (a *author) builtin() string {
	var b strings.Builder
	call := a.pick(calls...)
	for i := 0; i < len(call); i++ {
		if call[i] != '$' {
			b.WriteByte(call[i])
			continue
		}
		i++
		switch call[i] {
		case 'T':
			b.WriteString(a.term())
		case 'S':
			b.WriteString(a.pick(`"x"`, `"xy"`, `"%d"`, "input.p", "input.a", a.known()))
		case 'N':
			b.WriteString(a.pick("0", "1", "2", "3", "-1", "7", "1.5", "input.a", "2147483648", a.scalar()))
		case 'M':
			b.WriteString(a.pick("input.t", "input.t", "1709210096789000000", a.known()))
		case 'J':
			b.WriteString(a.pick("input.j", "input.j", a.known()))
		case 'P':
			b.WriteString(a.pick("input.p", "input.p", "input.s", a.known()))
		}
	}
	return b.String()
}
