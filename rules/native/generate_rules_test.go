package native_test

import (
	"fmt"
	"strings"
)

// module writes one module with a few rules of each kind, and the paths below data at which to ask.
func (a *author) module() (string, []string) {
	a.text = "package t\n"
	var paths []string
	kinds := []func(i int){a.complete, a.set, a.object, a.function, a.elses, a.nestedRules, a.constants, a.dispatched}
	for i := range 4 + a.r.Intn(5) {
		before := len(a.names)
		kinds[a.r.Intn(len(kinds))](i)
		paths = append(paths, a.names[before:]...)
	}
	return a.text, append(paths, "data.t", "data.base.map")
}

// defined notes a name that rules can use from here on.
func (a *author) defined(name string) {
	if strings.Contains(a.text, "\n"+name) {
		a.names = append(a.names, "data.t."+name)
	}
}

func (a *author) complete(i int) {
	name := fmt.Sprintf("c%d", i)
	v := a.pick("true", "true", "1", `"x"`)
	for range 1 + a.r.Intn(4) {
		a.rule(func() string {
			if a.chance(4) {
				return name + " := " + a.term()
			}
			return name + " := " + v
		})
	}
	if a.chance(2) {
		a.try(func() { fmt.Fprintf(&a.b, "default %s := %s\n", name, a.pick("false", "0", `{"a": 1}`)) })
	}
	a.defined(name)
}

func (a *author) constants(i int) {
	name := fmt.Sprintf("k%d", i)
	a.try(func() { fmt.Fprintf(&a.b, "%s := %s\n", name, a.constant()) })
	a.defined(name)
}

func (a *author) set(i int) {
	name := fmt.Sprintf("s%d", i)
	for range 1 + a.r.Intn(6) {
		a.rule(func() string {
			if a.chance(2) {
				return name + " contains " + a.scalar()
			}
			return name + " contains " + a.term()
		})
	}
	a.defined(name)
}

func (a *author) object(i int) {
	name := fmt.Sprintf("o%d", i)
	for range 1 + a.r.Intn(4) {
		a.rule(func() string {
			k := a.pick(`"x"`, `"y"`, "1", "input.a", "input.e")
			if len(a.vars) > 0 && a.chance(2) {
				k = a.pick(a.vars...)
			}
			return name + "[" + k + "] := " + a.pick("1", "2", a.term())
		})
	}
	a.defined(name)
}

func (a *author) nestedRules(i int) {
	name := fmt.Sprintf("n%d", i)
	for range 1 + a.r.Intn(4) {
		a.rule(func() string {
			k := a.pick(`"x"`, "input.a", "input.e")
			if len(a.vars) > 0 {
				k = a.pick(a.vars...)
			}
			switch a.r.Intn(4) {
			case 0:
				return name + "[" + k + "].p := " + a.scalar()
			case 1:
				return name + "[" + k + "].q contains " + a.term()
			case 2:
				return name + ".x.p := " + a.pick("1", "2")
			}
			return name + "[" + k + "][" + a.pick("input.e", `"p"`, k) + "] := " + a.pick("1", "true")
		})
	}
	a.defined(name)
}

func (a *author) function(i int) {
	name := fmt.Sprintf("f%d", i)
	args := 1 + a.r.Intn(2)
	for range 1 + a.r.Intn(4) {
		a.try(func() { a.functionRule(name, args) })
	}
	if a.chance(3) {
		a.try(func() {
			fmt.Fprintf(&a.b, "default %s(%s) := 0\n", name, strings.TrimSuffix(strings.Repeat("_, ", args), ", "))
		})
	}
	if strings.Contains(a.text, "\n"+name+"(") {
		a.funcs = append(a.funcs, name+strings.Repeat(",", args-1))
	}
}

func (a *author) functionRule(name string, args int) {
	a.vars = a.vars[:0]
	ps := make([]string, args)
	for j := range ps {
		switch a.r.Intn(6) {
		case 0:
			ps[j] = a.scalar()
		case 1:
			v := a.fresh()
			ps[j] = "[" + v + ", " + a.pick("1", `"x"`, "_") + "]"
			a.vars = append(a.vars, v)
		case 2:
			v := a.fresh()
			ps[j] = `{"a": ` + v + "}"
			a.vars = append(a.vars, v)
		default:
			v := a.fresh()
			ps[j] = v
			a.vars = append(a.vars, v)
		}
	}
	keep := append([]string(nil), a.vars...)
	body := a.body()
	v := a.pick("1", "true", a.term())
	if len(keep) > 0 && a.chance(2) {
		v = a.pick(keep...)
	}
	fmt.Fprintf(&a.b, "%s(%s) := %s if {\n\t%s\n}\n", name, strings.Join(ps, ", "), v, body)
}

func (a *author) elses(i int) {
	name := fmt.Sprintf("e%d", i)
	for range 1 + a.r.Intn(3) {
		a.try(func() {
			a.vars = a.vars[:0]
			fmt.Fprintf(&a.b, "%s := %s if {\n\t%s\n}", name, a.pick("1", "2"), a.body())
			for range 1 + a.r.Intn(2) {
				a.vars = a.vars[:0]
				fmt.Fprintf(&a.b, " else := %s if {\n\t%s\n}", a.pick("1", "2", "3"), a.body())
			}
			a.b.WriteString("\n")
		})
	}
	a.defined(name)
}

// dispatched writes many rules that begin with the tests that dispatch uses.
func (a *author) dispatched(i int) {
	name := fmt.Sprintf("d%d", i)
	for k := range 5 + a.r.Intn(12) {
		a.try(func() { a.dispatchedRule(name, k) })
	}
	a.defined(name)
}

func (a *author) dispatchedRule(name string, k int) {
	a.vars = a.vars[:0]
	var tests []string
	for range 1 + a.r.Intn(3) {
		f := "input." + a.pick("a", "e", "b.c")
		switch a.r.Intn(5) {
		case 0:
			tests = append(tests, f+" in "+a.pick(`{"x", "y"}`, `["x", 1, 1.0]`, "{1, 2}", "{true, null}", "{[1]}"))
		case 1:
			tests = append(tests, a.scalar()+" == "+f)
		default:
			tests = append(tests, f+" == "+a.scalar())
		}
	}
	if a.chance(3) {
		at := a.r.Intn(len(tests) + 1)
		tests = append(tests[:at:at], append([]string{a.literal()}, tests[at:]...)...)
	}
	head := fmt.Sprintf("%s contains %d", name, k%7)
	if a.chance(6) {
		head = name + " contains " + a.scalar()
	}
	fmt.Fprintf(&a.b, "%s if {\n\t%s\n}\n", head, strings.Join(tests, "\n\t"))
}
