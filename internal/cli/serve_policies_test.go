//go:build linux || darwin

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"thymus/pdp/policy"
)

// TestADeletionMakesWayForTheFileThatWasRefused moves a policy from the management API to a file: the file is refused as
// long as the stored policy is there, and decides soon after that is deleted, though the file does not change again.
func TestADeletionMakesWayForTheFileThatWasRefused(t *testing.T) {
	dir := t.TempDir()
	s := life(t, "policies.paths="+dir, "policies.watch=false")
	s.policies.run()
	text := func(name string) []byte {
		return fmt.Appendf(nil, `{"policy_id":"moved","name":%q,"rules":[{"rule_id":"r","effect":"deny"}]}`, name)
	}
	store := s.policies.store
	if _, err := store.Create(policy.Actor{}, policy.Draft{Form: policy.Structured, Text: text("stored")}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "moved.json")
	if err := os.WriteFile(file, text("filed"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.policies.load(t.Context(), "test")
	if p, err := store.Get("moved"); err != nil || p.ReadOnly || s.policies.bad.Load() != 1 {
		t.Fatalf("%+v, %v, %d reloads refused", p, err, s.policies.bad.Load())
	}
	if err := store.Delete(policy.Actor{}, "moved", nil); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		if p, err := store.Get("moved"); err == nil && p.ReadOnly && p.Name == "filed" && p.Origin == file && s.policies.good.Load() > 0 {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal("neither the stored policy nor the file decides")
		}
	}
	good := s.policies.good.Load()
	if _, err := store.Create(policy.Actor{}, policy.Draft{Form: policy.Structured, Text: []byte(`{"policy_id":"x","rules":[]}`)}); err != nil {
		t.Fatal(err)
	}
	if len(s.policies.ask) != 0 || s.policies.good.Load() != good {
		t.Error("files are read again for a change, though none was refused")
	}
}
