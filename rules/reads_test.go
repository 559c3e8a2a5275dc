package rules_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"thymus/rules"
)

func TestASetKnowsWhatOfTheInputItCanLookAt(t *testing.T) {
	for _, c := range []struct {
		name, text string
		reads      bool
	}{
		{"another member", `package policies.p
allow contains "a" if input.action.name == "x"`, false},
		{"the member", `package policies.p
allow contains "a" if input.parsed_body.x == 1`, true},
		{"the member in brackets, behind a function", `package policies.p
f(x) := x.y
allow contains "a" if f(input["parsed_body"])`, true},
		{"a library", `package lib
p := input.parsed_body`, true},
		{"the whole input", `package policies.p
allow contains "a" if walk(input, [_, "x"])`, true},
		{"a member known when it is evaluated", `package policies.p
allow contains "a" if { some k; input[k] == 1 }`, true},
		{"a local name for the whole", `package policies.p
allow contains "a" if { i := input; i.parsed_body == 1 }`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "p.rego")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			set, err := rules.Load(context.Background(), rules.Options{Paths: []string{file}, Builtin: true})
			if err != nil {
				t.Fatal(err)
			}
			r := set.Snapshot.Eval.(interface{ ReadsInput(string) bool })
			if got := r.ReadsInput("parsed_body"); got != c.reads {
				t.Fatalf("reads parsed_body: %t", got)
			}
		})
	}
}
