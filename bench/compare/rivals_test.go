package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"thymus/bench/workload"
)

// TestLibrariesAnswerAsTheOracle asks Cedar and Casbin what the servers ask them, for each workload that can be said in
// their language.
func TestLibrariesAnswerAsTheOracle(t *testing.T) {
	said := map[string]int{}
	names, _ := workload.Names()
	for _, name := range names {
		w, err := workload.Make(name, 25, 300, 7)
		if err != nil {
			t.Fatal(err)
		}
		for language, start := range map[string]func(string) (decider, error){workload.Cedar: newCedar, workload.Casbin: newCasbin} {
			files := append(w.Policies[language], w.Policies[language+"conf"]...)
			if len(w.Policies[language]) == 0 {
				continue
			}
			said[language]++
			t.Run(name+" in "+language, func(t *testing.T) {
				dir := t.TempDir()
				for _, f := range files {
					if err := os.WriteFile(filepath.Join(dir, f.Name), []byte(f.Text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				d, err := start(dir)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range w.Requests {
					c := &call{Agent: r.Subject, Action: r.Action, Resource: r.Resource, Params: r.Params}
					if r.Role != "" {
						c.Role = &r.Role
					}
					if r.Context != nil {
						if err := json.Unmarshal(r.Context, &c.Environment); err != nil {
							t.Fatal(err)
						}
					}
					decide, err := d(c)
					if err != nil {
						t.Fatal(err)
					}
					got, err := decide()
					if err != nil {
						t.Fatal(err)
					}
					if got != r.Allow {
						t.Fatalf("request %d, %+v: got %v, the oracle says %v", i, r, got, r.Allow)
					}
				}
			})
		}
	}
	if said[workload.Cedar] != 6 || said[workload.Casbin] < 4 {
		t.Errorf("spoken of: %v", said)
	}
}
