package native_test

import (
	"fmt"
	"math/rand"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// author writes random modules and inputs. What it writes is drawn from few names and values, so that rules meet: most
// of its modules compile, and most of their rules have solutions for some of its inputs.
type author struct {
	r     *rand.Rand
	b     strings.Builder
	text  string   // what compiles of what was written
	vars  []string // bound at this point
	n     int      // fresh names
	names []string // rules defined so far, as references; later rules use earlier ones, so that nothing recurs
	funcs []string
	depth int
}

func (a *author) pick(ss ...string) string { return ss[a.r.Intn(len(ss))] }
func (a *author) chance(n int) bool        { return a.r.Intn(n) == 0 }

func (a *author) fresh() string {
	a.n++
	return fmt.Sprintf("v%d", a.n)
}

func (a *author) scalar() string {
	return a.pick(`"x"`, `"y"`, `"z"`, `"xy"`, `"1"`, `""`, "0", "1", "2", "1.0", "-1", "1.5", "1e2", "100", "true", "false", "null",
		"12345678901234567890", "9007199254740993")
}

// constant is a ground literal.
func (a *author) constant() string {
	if a.depth > 2 {
		return a.scalar()
	}
	a.depth++
	defer func() { a.depth-- }()
	switch a.r.Intn(8) {
	case 0:
		return "[" + a.scalar() + ", " + a.constant() + "]"
	case 1:
		return "{" + a.scalar() + ", " + a.constant() + "}"
	case 2:
		return `{"a": ` + a.constant() + `, "b": ` + a.scalar() + "}"
	case 3:
		return a.pick("[]", "{}", "set()", "[1, 2, 3]", `{"x", "y"}`, `{1, 1.0, 2}`, `{"x": 1, "y": [1]}`)
	}
	return a.scalar()
}

func (a *author) field() string {
	return "input." + a.pick("a", "b", "c", "e", "b.c", "b.d", "b.c.d", "l", "l[0]", "l[1]", "o", "o.x", `o["y"]`, "s", "m", "m.x.y")
}

func (a *author) base() string {
	return "data.base." + a.pick("list", "map", "map.x", "map.y.z", "n", "nested", "nested[1]", `list["0"]`, "list[1]", "missing", `num["2"]`, "num[2]")
}

// known is a reference or variable that has a value at most.
func (a *author) known() string {
	switch n := a.r.Intn(12); {
	case n < 4 && len(a.vars) > 0:
		v := a.pick(a.vars...)
		if a.chance(4) {
			return v + a.pick(".a", `["x"]`, "[0]", ".b.c", "[1]")
		}
		return v
	case n < 5 && len(a.names) > 0:
		return a.pick(a.names...)
	case n < 6 && len(a.names) > 0:
		return a.pick(a.names...) + "[" + a.term() + "]"
	case n < 7:
		return a.base()
	}
	return a.field()
}

func (a *author) term() string {
	if a.depth > 3 {
		return a.scalar()
	}
	a.depth++
	defer func() { a.depth-- }()
	switch a.r.Intn(14) {
	case 0, 1, 2:
		return a.scalar()
	case 3:
		return a.constant()
	case 4:
		return "[" + a.term() + ", " + a.term() + "]"
	case 5:
		return `{"a": ` + a.term() + "}"
	case 6:
		return "{" + a.term() + "}"
	case 7:
		return a.comprehension()
	case 8:
		return a.call()
	}
	return a.known()
}

func (a *author) comprehension() string {
	saved := len(a.vars)
	defer func() { a.vars = a.vars[:saved] }()
	body := a.iteration()
	if a.chance(2) {
		body += "; " + a.literal()
	}
	t := a.term()
	switch a.r.Intn(4) {
	case 0:
		return "{" + t + " | " + body + "}"
	case 1:
		return "{" + a.known() + ": " + t + " | " + body + "}"
	case 2:
		return "{" + t + ": 1 | " + body + "}"
	}
	return "[" + t + " | " + body + "]"
}

func (a *author) call() string {
	if len(a.funcs) > 0 && a.chance(3) {
		f := a.pick(a.funcs...)
		args := strings.Count(f, ",") + 1
		name, _, _ := strings.Cut(f, ",")
		ts := make([]string, args)
		for i := range ts {
			ts[i] = a.term()
		}
		return name + "(" + strings.Join(ts, ", ") + ")"
	}
	one := func() string { return a.term() }
	switch a.r.Intn(45) {
	case 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44:
		return a.builtin()
	case 0:
		return "count(" + one() + ")"
	case 1:
		return "to_number(" + one() + ")"
	case 2:
		return "sprintf(\"%v %d\", [" + one() + ", " + one() + "])"
	case 3:
		return "concat(\",\", " + one() + ")"
	case 4:
		return "object.get(" + one() + ", " + one() + ", " + one() + ")"
	case 5:
		return "upper(" + one() + ")"
	case 6:
		return "(" + one() + " + " + one() + ")"
	case 7:
		return "(" + one() + " - " + one() + ")"
	case 8:
		return "(" + one() + " * " + one() + ")"
	case 9:
		return "(" + one() + " / " + one() + ")"
	case 10:
		return "(" + one() + " % " + one() + ")"
	case 11:
		return "(" + one() + " | " + one() + ")"
	case 12:
		return "(" + one() + " & " + one() + ")"
	case 13:
		return "max(" + one() + ")"
	case 14:
		return "sum(" + one() + ")"
	case 15:
		return "sort(" + one() + ")"
	case 16:
		return "split(" + one() + ", \"x\")"
	case 17:
		return "type_name(" + one() + ")"
	case 18:
		return "array.concat(" + one() + ", " + one() + ")"
	case 19:
		return "object.union(" + one() + ", " + one() + ")"
	case 20:
		return "json.marshal(" + one() + ")"
	case 21:
		return "lower(" + one() + ")"
	case 22:
		return "trim(" + one() + ", \"x\")"
	case 23:
		return "substring(" + one() + ", 0, 1)"
	case 24:
		return "object.keys(" + one() + ")"
	case 25:
		return "is_string(" + one() + ")"
	case 26:
		return "min(" + one() + ")"
	case 27:
		return "abs(" + one() + ")"
	case 28:
		return "replace(" + one() + ", \"x\", \"y\")"
	}
	return "format_int(" + one() + ", 10)"
}

// iteration binds a fresh variable or two.
func (a *author) iteration() string {
	over := a.known()
	switch a.r.Intn(4) {
	case 0:
		over = a.pick("input.l", "input.o", "data.base.list", "data.base.map", "input.m", "{1, 2, 3}", `["x", 1, 1.0]`)
	case 1:
		over = a.constant()
	}
	v := a.fresh()
	s := ""
	switch a.r.Intn(7) {
	case 0:
		k := a.fresh()
		s = "some " + k + ", " + v + " in " + over
		a.vars = append(a.vars, k)
	case 1:
		s = v + " := " + strings.TrimSuffix(a.field(), "]") + "[_]"
		if strings.Contains(s, "[0[") || strings.Contains(s, "[1[") || strings.Contains(s, `"y"[`) {
			s = v + " := input.l[_]"
		}
	case 2:
		k := a.fresh()
		s = "some " + k + "; " + v + " := input." + a.pick("l", "o", "m", "b") + "[" + k + "]"
		a.vars = append(a.vars, k)
	case 3:
		w := a.fresh()
		s = "some [" + v + ", " + w + "] in " + a.pick("input.pairs", "data.base.pairs", `[[1, "x"], ["x", 2], 3]`)
		a.vars = append(a.vars, w)
	case 4:
		p := a.fresh()
		s = "walk(" + over + ", [" + p + ", " + v + "])"
		a.vars = append(a.vars, p)
	default:
		s = "some " + v + " in " + over
	}
	a.vars = append(a.vars, v)
	return s
}

func (a *author) literal() string {
	if a.depth > 3 {
		return a.field() + " == " + a.scalar()
	}
	a.depth++
	defer func() { a.depth-- }()
	switch a.r.Intn(28) {
	case 26, 27: // a join
		v := a.fresh()
		over := a.pick("data.base.rows", "data.base.table", "data.base.rows", "data.base.list")
		key := ""
		if a.chance(3) {
			k := a.fresh()
			key = k + ", "
			a.vars = append(a.vars, k)
		}
		want := a.pick(a.field(), a.scalar(), a.known(), a.constant())
		s := "some " + key + v + " in " + over + "; " + v + a.pick(".k", ".k", ".v", ".v.w") + " == " + want
		if a.chance(4) {
			s = "some " + key + v + " in " + over + "; " + want + " == " + v + ".k"
		}
		a.vars = append(a.vars, v)
		return s
	case 0, 1, 2, 3, 4:
		return a.field() + " == " + a.scalar()
	case 5:
		return a.term() + " == " + a.term()
	case 6:
		return a.term() + " != " + a.term()
	case 7:
		return a.term() + a.pick(" > ", " < ", " >= ", " <= ") + a.term()
	case 8:
		return a.field() + " in " + a.pick(`{"x", "y"}`, `["x", 1, 1.0]`, "{1, 2}", "{true, null}", `{"k": "x"}`)
	case 9:
		return a.term() + " in " + a.known()
	case 10, 11:
		return a.iteration()
	case 12:
		saved := len(a.vars)
		l := a.literal()
		a.vars = a.vars[:saved]
		if strings.HasPrefix(l, "some ") || strings.HasPrefix(l, "every ") || strings.HasPrefix(l, "not ") || strings.Contains(l, ":=") || strings.Contains(l, " with ") || strings.HasPrefix(l, "walk") {
			l = a.field()
		}
		return "not " + l
	case 13:
		v := a.fresh()
		s := v + " := " + a.term()
		a.vars = append(a.vars, v)
		return s
	case 14:
		saved := len(a.vars)
		v := a.fresh()
		over := a.known()
		a.vars = append(a.vars, v)
		s := "every " + v + " in " + over + " { " + a.literal() + " }"
		a.vars = a.vars[:saved]
		return s
	case 15:
		return "startswith(" + a.known() + ", " + a.pick(`"x"`, `""`, `"xy"`) + ")"
	case 16:
		return "contains(" + a.known() + ", " + a.pick(`"x"`, "1") + ")"
	case 17:
		return "regex.match(\"^x\", " + a.known() + ")"
	case 18:
		return "glob.match(\"x*\", [\".\"], " + a.known() + ")"
	case 19:
		v, w := a.fresh(), a.fresh()
		s := "[" + v + ", " + w + "] = " + a.pick("input.l", "input.pairs[0]", "[input.a, input.e]", a.known())
		a.vars = append(a.vars, v, w)
		return s
	case 20:
		v := a.fresh()
		s := `{"a": ` + v + `} = ` + a.known()
		a.vars = append(a.vars, v)
		return s
	case 21:
		return a.known() + " == " + a.scalar() + " with " + a.target() + " as " + a.term()
	case 22:
		return a.known() + " with " + a.target() + " as " + a.scalar() + " with " + a.target() + " as " + a.constant()
	case 23:
		return a.call()
	case 24:
		return "is_" + a.pick("string", "number", "array", "object", "null") + "(" + a.known() + ")"
	}
	return a.known()
}

func (a *author) target() string {
	if a.chance(3) && len(a.names) > 0 {
		n := a.pick(a.names...)
		if !strings.Contains(n, "[") {
			return n
		}
	}
	return a.pick("input", "input.a", "input.b", "input.b.c", "input.l", "data.base.map", "data.base.map.x", "data.base.n", "data.base", "input.new.path")
}

func (a *author) body() string {
	n := 1 + a.r.Intn(4)
	ls := make([]string, n)
	for i := range ls {
		ls[i] = a.literal()
	}
	return strings.Join(ls, "\n\t")
}

func (a *author) rule(head func() string) {
	a.try(func() {
		a.vars = a.vars[:0]
		body := a.body()
		fmt.Fprintf(&a.b, "%s if {\n\t%s\n}\n", head(), body)
	})
}

// try lets write add to the module, a few times until what it adds compiles: OPA's type checker refuses much.
func (a *author) try(write func()) {
	for range 5 {
		a.b.Reset()
		write()
		if text := a.text + a.b.String(); compiles(text) {
			a.text = text
			return
		}
	}
}

func compiles(text string) bool {
	_, err := ast.CompileModules(map[string]string{"t.rego": text})
	return err == nil
}
