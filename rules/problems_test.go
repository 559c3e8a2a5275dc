package rules_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thymus/pdp"
	"thymus/rules"
)

// problemsOf loads files and returns what is wrong, one a line, with the directory cut off.
func problemsOf(t *testing.T, files map[string]string, change ...func(*rules.Options)) string {
	t.Helper()
	root := dir(t, files)
	o := rules.Options{Paths: []string{root}}
	for _, c := range change {
		c(&o)
	}
	_, err := rules.Load(t.Context(), o)
	if err == nil {
		return ""
	}
	var ps rules.Problems
	if !errors.As(err, &ps) {
		t.Fatalf("%T: %v", err, err)
	}
	return strings.ReplaceAll(err.Error(), root+"/", "")
}

func TestProblems(t *testing.T) {
	structured := func(rules string) string { return `{"policy_id":"p","rules":[` + rules + `]}` }
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string // parts of the lines, in order
	}{
		{"an unknown key with the nearest known", map[string]string{"p.json": structured(`{"rule_id":"r","efect":"deny","effect":"deny"}`)},
			[]string{`p.json:1:42: policy p: rule r: rules[0].efect: unknown key (did you mean "effect"?)`}},
		{"every problem at once", map[string]string{"p.json": structured(`{"rule_id":"r","effect":"dney","priority":1.5},{"effect":"deny","conditions":[{"field":"a..b","operator":"equals","value":1}]}`)},
			[]string{`rule r: rules[0].effect: expected allow, deny, warn or audit, found "dney" (did you mean "deny"?)`,
				`rule r: rules[0].priority: expected an integer of 64 bits, found 1.5`, `rules[1].rule_id: is required`,
				`rules[1].conditions[0].field: a path has no empty step`, `rules[1].conditions[0].operator: unknown operator "equals"`}},
		{"a rule id twice", map[string]string{"p.json": structured(`{"rule_id":"r","effect":"deny"},{"rule_id":"r","effect":"allow"}`)},
			[]string{`rules[1].rule_id: another rule of this policy has the id "r"`}},
		{"a policy id twice", map[string]string{"a.json": structured(``), "b.yaml": "policy_id: p\nrules: []\n"},
			[]string{`b.yaml: policy p: policy_id: is already defined by a.json`}},
		{"a structured policy and a package", map[string]string{"a.json": structured(``), "b.rego": "package policies.p\n\ndeny contains \"x\"\n"},
			[]string{`policy p: policy_id: is already defined by`}},
		{"a library in a structured policy's package", map[string]string{"a.json": structured(``), "b.rego": "package policies.p\n\nf := 1\n"},
			[]string{`b.rego: policy p: the package is that of the policy defined by a.json`}},
		{"an invalid regex, glob and network", map[string]string{"p.json": structured(`{"rule_id":"r","effect":"deny","conditions":[
			{"field":"a","operator":"matches","value":"(a"},
			{"field":"a","operator":"glob","value":"[a"},
			{"field":"a","operator":"cidr","value":["10.0.0.0/8","10.0.0.0/33"]},
			{"field":"a","operator":"cidr","value":"10.0.0.1"},
			{"field":"a","operator":"matches","value":"a)|(b"}]}`)},
			[]string{`p.json:2:46: policy p: rule r: rules[0].conditions[0].value: not a regular expression of RE2: missing closing )`,
				`conditions[1].value: not a glob pattern`, `conditions[2].value: "10.0.0.0/33" is no network`,
				`conditions[3].value: "10.0.0.1" is an address, not a network; write 10.0.0.1/32`, `conditions[4].value: not a regular expression`}},
		{"values of the wrong type", map[string]string{"p.json": structured(`{"rule_id":"r","effect":"deny","conditions":[
			{"field":"a","operator":"in","value":"x"},{"field":"a","operator":">","value":true},{"field":"a","operator":"contains","value":null},
			{"field":"a","operator":"starts_with","value":1},{"field":"a","operator":"cidr","value":[]},{"field":"a","operator":"=="}]}`)},
			[]string{"in expects an array", "> expects a number or a string", "contains expects", "starts_with expects a string",
				"cidr expects at least one network", "conditions[5].value: is required"}},
		{"a duplicate key in JSON", map[string]string{"p.json": `{"policy_id":"p","rules":[],"rules":[]}`}, []string{`p.json:1:29: the key "rules" stands here twice`}},
		{"a duplicate key in YAML", map[string]string{"p.yaml": "policy_id: p\nrules: []\nrules: []\n"}, []string{"p.yaml:3:1: the key"}},
		{"a version that YAML takes for a number", map[string]string{"p.yaml": "policy_id: p\nversion: 1.10\nrules: []\n"},
			[]string{`p.yaml:2:10: policy p: version: expected a string, found 1.10; put it in quotes`}},
		{"two documents in one file", map[string]string{"d.yaml": "a: 1\n---\nb: 2\n"}, []string{"a second YAML document in one file"}},
		{"invalid JSON", map[string]string{"d.json": "{\n  \"a\": tru\n}"}, []string{`d.json:2:8: expected a JSON value, found 't'`}},
		{"conflicting data", map[string]string{"a.json": `{"x":{"y":1}}`, "x/b.json": `{"y":2}`}, []string{`x/b.json:1:6: data.x.y: already has a value from a.json`}},
		{"data that is no object", map[string]string{"a.json": `[1]`}, []string{`data at the top must be an object`}},
		{"the reserved key", map[string]string{"a.json": `{"thymus.match":{"m":1}}`}, []string{`is reserved`}},
		{"a reference to the reserved package", map[string]string{"a.rego": "package lib\n\nx := data[\"thymus.match\"].m\n"}, []string{`a.rego:3:6: the name data["thymus.match"] is reserved`}},
		{"a complete rule for an effect", map[string]string{"a.rego": "package policies.a\n\nallow := true\n"},
			[]string{`a.rego:3:1: policy a: allow: allow must be a set of rules`}},
		{"a boolean rule, a function, a default and a partial object for effects", map[string]string{"a.rego": "package policies.a\n\nallow if input.x\n\ndeny(x) := x\n\ndefault warn := false\n\naudit[x] := 1 if some x in input.l\n"},
			[]string{"a.rego:3:1", "a.rego:5:1", "a.rego:7:1", "a.rego:9:1"}},
		{"a policy without a name", map[string]string{"a.rego": "package policies\n\nallow contains \"x\"\n"}, []string{"a policy needs a name below policies"}},
		{"METADATA of wrong types", map[string]string{"a.rego": "# METADATA\n# custom: {version: 1.0, default_effect: permit, enabld: false}\npackage policies.a\n\nallow contains \"x\"\n"},
			[]string{"custom.default_effect: expected allow", `custom.enabld: unknown key (did you mean "enabled"?)`, "custom.version: expected a string"}},
		{"syntax and all modules' compile errors", map[string]string{"a.rego": "package a\n\nx := y\n", "b.rego": "package b\n\nz := nope(1)\n"},
			[]string{"a.rego:3:6: rego_unsafe_var_error: var y is unsafe", "b.rego:3:6: rego_type_error: undefined function nope"}},
		{"v0 syntax", map[string]string{"a.rego": "package a\n\nx[1] { true }\n"}, []string{"a.rego:3"}},
		{"data under a rule", map[string]string{"a.rego": "package lib\n\nx := 1\n", "lib/d.json": `{"x":{"y":2}}`}, []string{"conflicting rule for data path lib/x found"}},
		{"http.send", map[string]string{"a.rego": "package policies.a\n\nallow contains \"x\" if http.send({\"url\": \"x\", \"method\": \"get\"}).status_code == 200\n"},
			[]string{"a.rego:3:23: policy a: http.send is refused unless policies.allow_builtins lists it"}},
		{"http.send behind with", map[string]string{"a.rego": "package lib\n\nx if count(input.a) == 1 with count as http.send\n"}, []string{"http.send is refused"}},
		{"http.send mocked away", map[string]string{"a.rego": "package lib\n\nf(x) := x\n\nx if http.send({}) == {} with http.send as f\n"}, []string{"http.send is refused"}},
		{"the other two", map[string]string{"a.rego": "package lib\n\nx := opa.runtime()\n\ny := net.lookup_ip_addr(\"x\")\n"}, []string{"opa.runtime is refused", "net.lookup_ip_addr is refused"}},
		{"a file that cannot be parsed beside one that is wrong", map[string]string{"a.rego": "package a\n\nx := := 1\n", "p.json": `{"policy_id":"p"}`},
			[]string{"a.rego:3", "rules: is required"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := problemsOf(t, c.files)
			rest := got
			for _, w := range c.want {
				at := strings.Index(rest, w)
				if at < 0 {
					t.Fatalf("no %q in order in:\n%s", w, got)
				}
				rest = rest[at+len(w):]
			}
			if strings.Contains(got, "thymus.match") && !strings.Contains(c.name, "reserved") {
				t.Errorf("the generated package shows:\n%s", got)
			}
		})
	}
}

func TestAllowedBuiltinsLoad(t *testing.T) {
	files := map[string]string{"a.rego": "package lib\n\nx := opa.runtime()\n"}
	if got := problemsOf(t, files, func(o *rules.Options) { o.AllowBuiltins = []string{"opa.runtime"} }); got != "" {
		t.Error(got)
	}
	if got := problemsOf(t, nil, func(o *rules.Options) { o.AllowBuiltins = []string{"http.sent"} }); !strings.Contains(got, `did you mean "http.send"?`) {
		t.Error(got)
	}
}

func TestEntrypointMustExist(t *testing.T) {
	files := map[string]string{"a.rego": "package envoy.authz\n\nallow := input.x\n"}
	if got := problemsOf(t, files, func(o *rules.Options) { o.Entrypoint = "envoy/authz/alow" }); !strings.Contains(got, `did you mean "envoy/authz/allow"?`) {
		t.Error(got)
	}
	for _, path := range []string{"envoy/authz/allow", "data.envoy.authz.allow", "/envoy/authz/allow"} {
		set := load(t, files, func(o *rules.Options) { o.Entrypoint = path })
		var r pdp.Result
		set.Snapshot.Eval.Value(set.Snapshot.Entrypoint, tape(t, `{"x":"yes"}`), false, nil, &r)
		if !r.Defined || string(r.Out.AppendJSON(nil, 0)) != `"yes"` {
			t.Errorf("%s: %+v", path, r)
		}
	}
}

func TestMissingPathsAreProblems(t *testing.T) {
	_, err := rules.Load(t.Context(), rules.Options{Paths: []string{"/nowhere/at/all", "doc.go"}})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/at/all: cannot be read: no such file or directory") ||
		!strings.Contains(err.Error(), "doc.go: expected a directory or a file whose name ends in") {
		t.Error(err)
	}
}

func TestHiddenAndForeignFilesAreIgnored(t *testing.T) {
	load(t, map[string]string{".hidden.rego": "no rego", ".git/a.json": "no json", "README.md": "#", "a.rego.bak": "no", "b_test.rego": "package x\n\ntest_a if nope"})
}

func TestKubernetesVolume(t *testing.T) {
	root := t.TempDir()
	version := filepath.Join(root, "..2024_01_01")
	if err := os.Mkdir(version, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"p.rego": "package policies.p\n\ndeny contains \"x\"\n", "d.json": `{"d":1}`} {
		if err := os.WriteFile(filepath.Join(version, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("..2024_01_01", filepath.Join(root, "..data")); err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(t.Context(), rules.Options{Paths: []string{root}})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Policies) != 1 || !set.Defines("d") || set.Defines("e") {
		t.Errorf("%+v", set.Policies)
	}
}

func TestRevision(t *testing.T) {
	files := map[string]string{"a.rego": "package policies.a\n\ndeny contains \"x\"\n", "p.json": `{"policy_id":"p","rules":[]}`, "d/e.json": `{"x":1}`}
	base := load(t, files).Snapshot.Revision
	if len(base) != 32 {
		t.Errorf("revision %q", base)
	}
	if again := load(t, files).Snapshot.Revision; again != base {
		t.Error("another folder makes another revision")
	}
	moved := map[string]string{"z/y.rego": files["a.rego"], "z/q.json": files["p.json"], "d/f.json": files["d/e.json"]}
	if got := load(t, moved).Snapshot.Revision; got != base {
		t.Error("other names of files make another revision")
	}
	changes := map[string]func() *rules.Set{
		"a rule": func() *rules.Set {
			return load(t, map[string]string{"a.rego": "package policies.a\n\ndeny contains \"y\"\n", "p.json": files["p.json"], "d/e.json": files["d/e.json"]})
		},
		"data": func() *rules.Set {
			return load(t, map[string]string{"a.rego": files["a.rego"], "p.json": files["p.json"], "d/e.json": `{"x":2}`})
		},
		"data moved": func() *rules.Set {
			return load(t, map[string]string{"a.rego": files["a.rego"], "p.json": files["p.json"], "c/e.json": files["d/e.json"]})
		},
		"builtin":    func() *rules.Set { return load(t, files, func(o *rules.Options) { o.Builtin = true }) },
		"entrypoint": func() *rules.Set { return load(t, files, func(o *rules.Options) { o.Entrypoint = "d/x" }) },
		"allowed": func() *rules.Set {
			return load(t, files, func(o *rules.Options) { o.AllowBuiltins = []string{"http.send"} })
		},
		"extra": func() *rules.Set {
			return load(t, files, func(o *rules.Options) {
				o.Extra = []rules.Source{{ID: "e", Form: rules.FormStructured, Text: []byte(`{"policy_id":"e","rules":[]}`)}}
			})
		},
		"extra, off": func() *rules.Set {
			return load(t, files, func(o *rules.Options) {
				o.Extra = []rules.Source{{ID: "e", Form: rules.FormStructured, Disabled: true, Text: []byte(`{"policy_id":"e","rules":[]}`)}}
			})
		},
		"one file less": func() *rules.Set {
			return load(t, map[string]string{"a.rego": files["a.rego"], "d/e.json": files["d/e.json"]})
		},
	}
	seen := map[string]string{base: "the base"}
	for name, f := range changes {
		rev := f().Snapshot.Revision
		if was, dup := seen[rev]; dup {
			t.Errorf("%s has the revision of %s", name, was)
		}
		seen[rev] = name
	}
}

func TestWarnings(t *testing.T) {
	set := load(t, map[string]string{
		"a.rego": "# METADATA\n# custom: {default_effect: allow}\npackage policies.a\n\nwarn contains {\"rule\": \"w\", \"priority\": 10}\n\ndeny contains {\"name\": \"no id\"}\n\ndeny contains {\"rule\": \"d\", \"prioritty\": 20}\n\ndeny contains {\"rule\": \"g\", \"guardrail\": true}\n",
		"p.yaml": "policy_id: p\ndefault_effect: deny\nrules:\n  - {rule_id: a, effect: audit, priority: 5}\n  - {rule_id: b, effect: allow, priority: 99}\n",
	})
	var got []string
	for _, w := range set.Warnings() {
		got = append(got, w.Error())
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{"a.rego:5: policy a: rule w: priority: 10 outranks deny rule d of policy a (0)", "p.yaml:4: policy p: rule a: priority: 5 outranks deny rule d",
		"a.rego:7: policy a: deny: contains a rule object without rule", `prioritty: is no member that rules have (did you mean "priority"?)`,
		"policy a: default_effect: allow never applies"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d warnings:\n%s", len(got), all)
	}
}
