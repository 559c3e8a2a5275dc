package native_test

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// agreement is one question in which the engines once differed, or could: a trap of the language, asked of both.
type agreement struct {
	name   string
	module string // without its package
	inputs []string
	paths  []string // below data.t; none: t itself
}

var usual = []string{`{"x":"b","n":1.0,"l":[1,2,3],"s":"k","o":{"b":1,"a":2}}`, `{}`, `null`}

var agreements = []agreement{
	{"what is reached first is the node that stays", `g := {1: ["a"], "a": [1.0, "b"], "b": {"c", 1}, "c": []}
r := graph.reachable(g, [1.0, 1])
s := graph.reachable(g, {"b"})
t := graph.reachable(g, ["none"])
u := graph.reachable(input.o, input.l)
v := graph.reachable({input.s: ["k"]}, {input.s, input.x})`, usual, nil},
	{"a walk in each of its forms", `a := [x | walk(input, [_, x])]
b contains p if { [p, x] := walk(input); x == 1 }
c contains y if { y := walk(input.o) }
d contains p if walk(input, [["o", p], _])
e if walk({"a": {1, [2]}}, [["a", [2], 0], 2])
f := count([1 | walk(input.l, _)])
g contains [p, x] if { some w in [1, {"k": false}]; walk(w, [p, x]) }`, usual, nil},
	{"decimals are OPA's to the last digit", `a := 0.1 + 0.2
b := input.l[1] / input.l[2]
c := round(2.5) + ceil(1.01) + floor(1.99)
d := round(-2.5) + ceil(-0.5) + floor(-0.5)
e := 1.5 - 1.5
f := -0.5 * 0
g := (1709210096789000001 - 1) / 86400000000000
h := sprintf("%v %v %.2f %v", [1.50, 1e21, 2.675, [0.10]])
i := 0 / -5`, usual, nil},
	{"networks of both versions", `a := net.cidr_contains("2001:db8::/32", "2001:db8::1")
b := net.cidr_contains("::/0", "10.0.0.1")
c := net.cidr_contains("::/80", "::/80")
d := net.cidr_contains("10.0.0.0/8", "::ffff:10.0.0.1")
e := net.cidr_contains("0.0.0.0/0", "10.0.0.0/8")
f := net.cidr_intersects("10.0.0.0/8", "::/0")`, usual, nil},
	{"one and one point zero are one set element, and the first stays", `s contains 1.0 if input.n == 1
s contains 1 if input.n == 1.0
r := {1, 1.0}
m := {1: "a"}[1.0]
a := input.l[input.n]
e if 1 == 1.0
within if input.n in {1, 2}
k := {"a": 1 + 0.0}`, usual, nil},
	{"big integers and exponents keep their digits", `p := 12345678901234567890 + 1
q := 0.1 + 0.2
r := 9007199254740993 == 9007199254740993.0
s := 9007199254740993 == 9007199254740992
u := 1e3
v := 1e3 == 1000
w := [x | some x in {1e3, 999, 1001}]
y := -0`, usual, nil},
	{"rules that share a ground prefix see each other's values", `p.a := 1
p[x] := y if { x := "b"; y := 2 }
q.a.b := 1
q.a[x] := 2 if x := "c"
n := count(p)`, usual, nil},
	{"a rule's value lies in the way of another's path", `p[x] := {"a": 1} if x := "k"
p[y].b := 2 if y := "k"`, usual, nil},
	{"paths of different rules meet in one object", `p[x].a := 1 if x := "k"
p[y].b := 2 if y := "k"
p[z].a := 1 if z := "k"
q[x].c contains 3 if x := "k"
q[x].c contains 4 if { x := "k"; input.n }`, usual, nil},
	{"the first level of a name may be dynamic and the rest not", `a[x].z := 1 if x := input.s
a.k2.z := 5
b := a[_].z`, usual, nil},
	{"two values for a complete rule are a conflict only where it is asked", `p := 1 if input.s == "k"
p := 2 if input.x == "b"
q if { input.x == "z"; p }
r if input.n == 1`, usual, []string{"p", "q", "r"}},
	{"a conflict between the solutions of one body", `p := x if some x in input.l
f(x) := y if { some y in input.l; y >= x }
q := f(3)
r := f(1)`, usual, []string{"p", "q", "r"}},
	{"two values for one key of an object", `o[k] := v if { some v in input.l; k := "a" }
c := {"a": x | some x in input.l}
d := {x: 1 | some x in input.l}`, usual, []string{"o", "c", "d"}},
	{"division by zero is undefined, or an error", `p := 1 / 0
q if not 1 / 0
r contains x if { some x in ["1", "a", "2"]; to_number(x) > 1 }`, usual, []string{"p", "q", "r"}},
	{"an error behind a test that fails is not met", `p if { input.x == "z"; to_number(input.x) == 1 }
q contains 1 if { input.x == "z"; to_number(input.x) == 1 }
q contains 2 if { input.x == "b"; input.s == "k" }
q contains 3 if { input.x == "c" }
q contains 4 if { input.x == "d" }
q contains 5 if { input.x == "e" }`, usual, []string{"p", "q"}},
	{"an error in front of a test that fails is met, where OPA meets it", `q contains 1 if { to_number(input.x) == 1; count(input.l) == 9 }
q contains 2 if { input.x == "b"; input.s == "k" }`, usual, []string{"q"}},
	{"the first of rules with one value ends the search", `p if input.x == "b"
p if to_number(input.x) == 1
r if to_number(input.x) == 1
r if input.x == "b"`, usual, []string{"p", "r"}},
	{"else follows where the rule has no solution", `p := 1 if { input.x == "z" } else := 2 if { input.x == "b" } else := 3
q := false if { input.x == "b" } else := 2
r := 1 if { input.missing } else := x if { x := input.s }`, usual, nil},
	{"defaults of rules and functions", `default p := {"a": [1]}
p := 1 if input.x == "b"
default f(_) := 0
f(x) := 1 if x == 2
g := [f(1), f(2), f(input.missing)]
h := f(1)`, usual, nil},
	{"patterns take arguments apart", `f([x, y]) := x + y
f({"a": z}) := z
f("lit") := 7
p := [f([1, 2]), f({"a": 9}), f("lit")]
q := f(input.l)
r := f(input.o)
s := f(input.x)`, usual, nil},
	{"with replaces input, data, rules and functions", `q := 1
r := q + 1
s := input.l[0]
f(x) := x + 1
g(x) := 100 + x
a := x if x := r with data.t.q as 10
b if s == 9 with input.l as [9]
c := y if y := f(1) with data.t.f as g
d := y if y := f(1) with data.t.f as 5
e := y if y := count([1]) with count as 77
h := y if y := r with input as {} with data.t.r as "replaced"
i := x if x := input.deep.er with input.deep.er as 3
j := x if x := input with input.n.deep as 3
k := [x, input.x] if x := input.x with input.x as "inner"`, usual, nil},
	{"with on base documents above and below what is read", `p := x if x := data.base with data.base.map.x as 5
q := x if x := data.base.map with data.base.map as {"new": 1}
r := x if x := data.base.map.x with data.base as {"map": {"x": 9}}
s := x if x := data.base.missing.deep with data.base.missing.deep as 1
u := count(x) if x := data.base.list with data.base.list as []`, usual, nil},
	{"with on a package hides its rules", `inner.a := 1
inner.b := 2
p := x if x := data.t.inner with data.t.inner as {"c": 3}
q := x if x := data.t.inner with data.t.inner.a as 5
r := x if x := data.t.inner.b with data.t.inner as {"b": 7}`, usual, []string{"p", "q", "r", "inner"}},
	{"a reference enumerates packages, rules and documents", `a.x := 1
a.b := 2
p := {k: v | some k in ["x", "q", "b"]; v := data.t.a[k]}
q := [k | data.base.map[k]]
r := [k | some k; data.base[k]]
s := data.t.a[input.x]
u := [v | v := data[input.pkg].map.x]`, []string{`{"x":"b","pkg":"base"}`, `{}`}, nil},
	{"base documents are read by the text of the key", `p := data.base.num[2]
q := data.base.num["2"]
r := data.base.list["0"]
s := data.base.list[0]
u := data.base.list[input.i]
v := data.base.list["00"]
w := data.base.list[true]
x := data.base.map[[1]]`, []string{`{"i":1}`, `{"i":"1"}`, `{"i":1.0}`}, nil},
	{"not closes over what is bound", `p contains x if { some x in input.l; not x == 2 }
q if not input.missing
r if not input.x == "b"
s if not data.t.r
u contains x if { some x in [1, 2, 3]; not { y | some y in input.l; y == x } == set() }`, usual, nil},
	{"every holds for the empty and not for what is no collection", `p if every x in input.l { x < 4 }
q if every x in input.l { x < 3 }
r if every x in [] { x == 1 }
s if every x in input.s { x }
u contains y if { some y in [2, 4]; every x in input.l { x < y } }
v if every k, x in input.o { k != "z"; x > 0 }`, usual, nil},
	{"enumeration of text, numbers and null has no element", `p contains x if some x in input.x
q contains x if x := input.n[_]
r := [1 | some _ in "abc"]
s := [1 | some _ in null]`, usual, nil},
	{"objects and sets are enumerated in order", `p := [k | some k, _ in input.o]
q := [x | some x in {3, 1, "a", null, [2], {"b"}, {"k": 1}, true, 2.5}]
r := [[p, v] | walk(input, [p, v])]
s := [x | some x in {"é", "z", "a"}]`, []string{`{"o":{"z":1,"a":2,"m":{"y":1,"b":2}},"l":[3,1]}`}, nil},
	{"a set indexed by an element gives the asked one", `p := {1, 2}[1.0]
q if {1, 2}[2]
r := [x | {1, 2}[x]]
s := {[1, 2]: "x"}[[1, 2]]
u := {x | {[1, 2], [1, 3], [2]}[[1, x]]}`, usual, nil},
	{"unification takes both sides apart", `p := [x, y] if { [x, 2] = [1, y] }
q if { [1, x] = input.l }
r := x if { {"a": x, "b": 1} = {"a": 3, "b": 1} }
s := x if { {"a": x} = input.o }
u := [a, b] if { [a, b, _] = input.l }
v := x if { [x, x] = [1, 1.0] }
w := x if { [x, x] = [1, 2] }`, usual, nil},
	{"comprehensions nest and see outer variables", `p := {k: [y | some y in input.l; y > k] | some k in input.l}
q := [[x, y] | some x in input.l; y := [z | some z in input.l; z < x]]
r := {x | some x in input.missing}
s := count({x | x := input.l[_]})`, usual, nil},
	{"of equal members the last value of a comprehension stays, and the first of a rule", `p := {k: v | some v in [1, 1.0]; k := "a"}
q[k] := v if { some v in [1, 1.0]; k := "a" }
r := {"a": 1, "a": 1.0}
s := {input.x: 1, "b": 1.0}`, usual, []string{"p", "q", "s"}},
	{"documents inside and outside of a with do not mix", `n := count([x | some x in input.l; x > 0])
a := [[n, m, n] | some k in [[1], [1, 2], []]; m := n with input.l as k]
b := [[n, y] | some k in [1, 2]; y := z with input.l as [k]]
z := [n, input.l]
c := [n, d, n] if d := n with input.l as []`, usual, []string{"a", "b", "c"}},
	{"templates render what is undefined", `p := $"hi {input.x} {input.zzz} {input.l}"`, usual, nil},
	{"time and randomness are one value an evaluation", `p if time.now_ns() == time.now_ns()
q if rand.intn("a", 1000000) == rand.intn("a", 1000000)
r if uuid.rfc4122("k") == uuid.rfc4122("k")`, usual, nil},
	{"a long list on the tape is indexed and joined", `p := input.big[30]
q := [i | some i, x in input.big; x == 7]
r if 35 in input.big
s := data.t.q[0]
m := input.wide.k33`, []string{`{"big":[` + ints(40) + `],"wide":` + wide(40) + `}`}, nil},
	{"constants are joined by the field that the next expression compares", `rows := [{"k": "a", "v": 1}, {"k": "b", "v": 2}, {"v": 3}, {"k": 1, "v": 4}, {"k": 1.0, "v": 5}, {"k": "b", "v": 6}, 7, {"k": null}, {"k": ["b"], "v": 8}, {"k": "c"}]
p := [r.v | some r in rows; r.k == input.k]
q := [i | some i, r in rows; r.k == input.k]
s := [r | r := rows[_]; input.k == r.k; r.v > 1]`, []string{`{"k":"b"}`, `{"k":1}`, `{"k":["b"]}`, `{"k":null}`, `{}`}, nil},
}

func TestAgreements(t *testing.T) {
	for _, c := range agreements {
		t.Run(c.name, func(t *testing.T) {
			mod := "package t\n" + c.module
			comp, err := ast.CompileModules(map[string]string{"t.rego": mod})
			if err != nil {
				t.Fatal(err)
			}
			paths := []string{"data.t"}
			if c.paths != nil {
				paths = nil
				for _, p := range c.paths {
					paths = append(paths, "data.t."+p)
				}
			}
			var n tally
			compare(t, comp, mod, baseData, paths, c.inputs, &n)
			if n.unable > 0 {
				t.Errorf("%d names stay on topdown", n.unable)
			}
			if n.asked == 0 || n.defined+n.faults == 0 {
				t.Errorf("nothing was asked: %+v", n)
			}
		})
	}
}
