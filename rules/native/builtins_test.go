package native

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"thymus/pdp"
)

// arguments are what builtins are tried with: some of each type, and the awkward ones of each.
func arguments() []ast.Value {
	var out []ast.Value
	for _, s := range []string{"", "x", "xy", "a.b.c", "a.b", "b", ".", "/svc/a/b", "/svc/", "10.0.0.0/8", "10.1.2.3", "10.1.0.0/16", "10.1.255.255", "192.168.0.1", "010.1.2.3", "10.0.0.1/8", "0.0.0.0/0", "1.2.3.4/32", "10.0.0.0/33", "::ffff:10.1.2.3", "2001:db8::/32", "2001:db8::1",
		"é", "aéb", "a\tb", "  x ", "aaaa", "aa", "A", "B\"q\"", "a\\b", "<&>",
		"0", "1", "-1", "007", "+1", "-0", "1.0", "1e3", "1e99999", "9223372036854775807", "9223372036854775808", "12345678901234567890", "inf", "0x10",
		"%s", "%d", "%v and %v", "%s%%%d", "100%", "%5d", "%!", "%x", "plain", "%v", "%s is %v: %d",
		"UTC", "Local", "Europe/Amsterdam", "America/New_York", "Nowhere/None", "RFC3339", "2006-01-02", "RFC822Z", "15:04 MST",
		"2024-02-29T12:34:56Z", "2024-12-31T23:59:59-11:30", "1999-06-30T00:00:00.000000001Z", "2024-2-9T12:34:56Z", "1677-09-21T00:12:43.145224192Z", "2024-02-29T12:34:56.789+02:00", "2023-02-29T00:00:00Z", "1500-01-01T00:00:00Z", "2262-04-11T23:47:16.854775807Z", "2024-02-29",
		"1h", "1.5h2m", "-3us", "1d", "-1.5h", "5m3s", "1", "300ms", "100000000h",
		"YWJj", "YWJjZA==", "YWJjZA", "-_-_", "+/+/", "YQ=", "/w==", "YW\nJj",
		`{"a":1}`, `{"a":1,"a":2.50}`, `[1,"x",null,true,{"b":[]}]`, `"é\n\/"`, `"\u00e9"`, `{"a":}`, `[1,]`, `01`, `-0`, `1.5e3`, `1e99999`, ` {} `, `{"a":1} x`, `nul`, `"a`, "\"\x01\"",
		"^/svc/[a-z]+", "[ab.]+", "x*", "(a)(b)?", "^a", "$", "[", "a**", "/svc/*", "/svc/**", "{a,b}", "*", "${1}-$0", "$1", `\d+`, "(?i)A",
		"%q", "%v %v %v", "%.2f", "%f", "%s %.1f", "%.3f%%", "%.2", "1.2.3", "v1.2.3", "1.10.0", "1.2.3-rc.1", "1.2.3+b", "01.2.3", "1.2", "1.2.3.4", "1.-2.3", "999999999999999999.0.0",
		"512Mi", "1Gi", "10kB", "1KiB", "5m", "5T", "1.5Gi", "Mi", "1e3", "12 MB", "2Ei", "3x", "999999999T", "ÄB",
		"2001:db8:1::/48", "2001:db8:1::5", "::/0", "::1", "::ffff:0:0/96", "::/80", "10.1.0.0/33", "10.64.0.0/10", "fe80::1%eth0", "fe80::/10", "2001:db8::1/130",
		"1.5", "-2.25", "0.50", "007.5", "1.", ".5", "1.5e3", "12345678901234567890.5", "<b>", "ÀÉ", "ß", "İ",
		strings.Repeat("[", 70) + strings.Repeat("]", 70), "\xff", "\xff\"", "x\xffy"} {
		out = append(out, ast.String(s))
	}
	for _, n := range []string{"0", "1", "-1", "2", "3", "7", "10", "16", "8", "-0", "1.0", "1.5", "-2.5", "0.1", "1e3", "100", "2147483647", "2147483648", "-2147483648", "-2147483649",
		"9223372036854775807", "-9223372036854775808", "9223372036854775808", "12345678901234567890", "1709210096789000000", "1709210096", "0.0",
		"0.25", "3.7", "-0.5", "2.50", "99.99", "1e-2", "123456789012345.5", "0.1000000000000000055511151231257827", "1000000.001", "1e21", "5"} {
		out = append(out, ast.Number(n))
	}
	for _, s := range []string{"null", "true", "false", "[]", "{}", "set()", `["x"]`, `["a", "b"]`, `["x", 1]`, `[1, 2, 3]`, `[3, 1, 2, 1]`, `[1, 1.0]`, `[1.0, 1]`, `[2.5, 1]`,
		`[1, 9223372036854775807]`, `[-1, -9223372036854775808]`, `["a", ["b"], {"c"}]`, `[[1], [1.0]]`, `[null, false, true, 1, "a", [], {}, set()]`, `[true]`, `[null, "x"]`,
		`{"x"}`, `{"a", "b", "x"}`, `{1, 2}`, `{2, 3}`, `{1.0}`, `{1, "a"}`, `{[1], [2]}`, `{{"a"}, {"b"}}`, `{"/svc/", "/x"}`, `["/"]`, `[".", "/"]`, `["ab"]`, `[""]`, `[1.5]`, `[2.25, "x"]`, `["x", 2.5]`, `["a", {"k": [1.5, null]}, set()]`, `[{"a": {"b", 1}}]`, `["q\"\n", "<x>"]`,
		`{"a": ["b", "x"], "b": ["a"], "x": [], "c": null}`, `{"a": {"b"}, "b": {"x", 1.0}, 1: ["a"], "x": "y"}`, `{set(), {"x"}}`, `{{1, 2}, {2.0, 3}}`, `{{1, "a"}, {"a"}, {"a", "b"}}`, `[{"a": 1}, {"a": {"b": 2}}]`,
		`[{"a": {"b": 2}}, {"a": 4}, {"a": {"c": 3}}]`, `[{"a": 1}]`, `[{1: 2}, {1.0: 3}]`, `[{"a": {"b": 1, "x": {}}}, {}, {"a": {"b": 7}, "q": []}]`, `{"k": "<", "l": [true, 1.50]}`, `{"": {"x"}}`,
		`{"a": 1}`, `{"a": 1, "b": {"c": 2}}`, `{"b": {"d": 3, "c": {}}, "x": 1}`, `{1: 2}`, `{1.0: 3, "a": 4}`, `{"a": {"b": {"c": 1}}}`, `{"a": {"b": 7}}`, `{"x": {"y": 1}, "xy": 2, "": 3}`,
		`[1709210096789000000, "Europe/Amsterdam"]`, `[1709210096789000000, "America/New_York", "RFC822Z"]`, `[1709210096789000000, "", "2006-01-02T15:04"]`,
		`[0, "Local"]`, `[0, "Nowhere/None"]`, `[1, 2]`, `[1678209896000000000]`, `[-1, "UTC"]`, `["x", "UTC"]`, `[1.5]`, `[1709210096789000000, "UTC", 1]`} {
		out = append(out, ast.MustParseTerm(s).Value)
	}
	tokens := []string{`{"alg":"HS256","typ":"JWT"}`, `{"sub":"ops","roles":["a","b"],"exp":1709210096}`, `{"alg":"none","enc":"A128GCM"}`, `{"cty":"JWT"}`, `[1]`, `{"a":1,"a":2}`, `{`, ``}
	for _, h := range tokens {
		for _, p := range tokens[1:] {
			enc := base64.RawURLEncoding
			out = append(out, ast.String(enc.EncodeToString([]byte(h))+"."+enc.EncodeToString([]byte(p))+"."+enc.EncodeToString([]byte("sig\xff"))))
		}
	}
	return append(out, ast.String("a.b"), ast.String("e30.e30."), ast.String("e30.e30.e"), ast.String("e30=.e30=.YQ=="), ast.String("e30.e30.YQ.x"))
}

// threeAndMore says of which kinds the arguments of builtins with many mostly are.
var threeAndMore = map[string][]kind{
	"replace": {text, text, text}, "substring": {text, number, number}, "array.slice": {array, number, number},
	"object.get": {object, text, null}, "internal.member_3": {number, text, array}, "time.add_date": {array, number, number, number},
	"regex.find_n": {text, text, number}, "regex.replace": {text, text, text}, "glob.match": {text, array, text},
}

// ask calls one implementation; err is OPA's error.
func ask(m *machine, name string, args []val) (v val, err bool) {
	m.args = append(m.args[:0], args...)
	m.strict, m.err = true, nil
	v = bridged(ast.BuiltinMap[name], topdown.GetBuiltin(name))(m, 0)
	err = m.err != nil
	m.err = nil
	return v, err
}

// TestOwnBuiltinsAnswerAsOPAs tries every builtin of this package's own: with every argument, with every pair of them,
// and with many random longer lists. Where it answers, it must be with OPA's answer to the digit, and where OPA has an
// error it must not.
func TestOwnBuiltinsAnswerAsOPAs(t *testing.T) {
	e, _, err := Compile(Options{Compiler: ast.MustCompileModules(map[string]string{"t.rego": "package t\n"})})
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(e.prog)
	m.patterns.lent = math.MinInt // there is room for all
	var pool []val
	input := ast.NewArray() // collections lie on the tape too
	byKind := map[kind][]val{}
	keep := newMachine(e.prog) // whose arena outlives the calls
	for _, x := range arguments() {
		v, err := keep.fromAST(x)
		if err != nil {
			t.Fatal(err)
		}
		v.mark = v.kind == text && strings.Contains(v.str(), "{") // no pattern of a request is kept that has one
		pool = append(pool, v)
		byKind[v.kind] = append(byKind[v.kind], v)
		if isJSON(x) && v.kind >= array {
			input = input.Append(ast.NewTerm(x))
		}
	}
	tape := TapeOf(input)
	for i := range input.Len() {
		v := tapeIndex(tape, 0, int64(i))
		pool = append(pool, v)
		byKind[v.kind] = append(byKind[v.kind], v)
	}
	var tables []string
	for _, table := range []map[string]native{natives, textBuiltins, collectionBuiltins, timeBuiltins, tokenBuiltins, printing, graphBuiltins, patternBuiltins, unitBuiltins} {
		tables = append(tables, slices.Collect(maps.Keys(table))...)
	}
	slices.Sort(tables)
	for _, name := range tables {
		decl := ast.BuiltinMap[name]
		if decl == nil || topdown.GetBuiltin(name) == nil {
			if name != "eq" { // the compiler's, which has no implementation
				t.Errorf("OPA has no builtin %s", name)
			}
			continue
		}
		own, answered := ownBuiltin(name), 0
		try := func(args ...val) {
			m.start(nil, true, &pdp.Budget{})
			defer m.finish()
			got, ok := own(m, args)
			if !ok {
				return
			}
			answered++
			m.args = m.args[:0]
			shown := ""
			if got.kind > boolean { // before the arguments' memory is used again
				shown = m.show(got)
			}
			want, fails := ask(m, name, args)
			if fails || got.kind <= boolean && want != got || got.kind > boolean && m.show(want) != shown {
				list := ""
				for _, a := range args {
					list += m.show(a) + " "
				}
				t.Errorf("%s(%s): OPA %s (error %v), native %s", name, list, m.show(want), fails, cmp.Or(shown, m.show(got)))
			}
		}
		r := rand.New(rand.NewSource(1))
		switch decl.Decl.Arity() {
		case 0:
			try()
		case 1:
			for _, a := range pool {
				try(a)
			}
		case 2:
			for _, a := range pool {
				for _, b := range pool {
					try(a, b)
				}
			}
		default:
			for range 20_000 {
				args := make([]val, decl.Decl.Arity())
				for i := range args {
					of := pool
					if kinds := threeAndMore[name]; kinds == nil {
						t.Fatalf("%s has no kinds of arguments here", name)
					} else if r.Intn(10) > 0 {
						of = byKind[kinds[i]]
					}
					args[i] = of[r.Intn(len(of))]
				}
				try(args...)
			}
		}
		if answered == 0 || decl.Decl.Arity() > 0 && answered < 5 {
			t.Errorf("%s answered %d times only", name, answered)
		}
		if t.Failed() {
			return
		}
	}
}

// show is a value to the last digit.
func (m *machine) show(v val) string {
	if v.kind == undefined {
		return "undefined"
	}
	return fmt.Sprintf("%q", m.toAST(v).String())
}
