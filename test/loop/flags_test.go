package loop_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"thymus/test/harness"
)

// forward asks as Traefik and Caddy do.
func (s *sidecar) forward(user, uri string) int {
	s.t.Helper()
	a, err := harness.Ask(s.client, "GET", s.data+"/ext_authz/forward", "", "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "http",
		"X-Forwarded-Host", "shop", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Uri", uri, "X-User", user)
	if err != nil {
		s.t.Fatal(err)
	}
	return a.Status
}

// What a dry run finds is said and nothing is done about it, after a restart neither: events do not say that a decision was
// one, and a start that reads them must know all the same, whether it is one itself or not.
func TestARestartQuarantinesNobodyForADryRun(t *testing.T) {
	for _, mask := range []string{"", "agent_id=hash"} {
		for _, still := range []string{"true", "false"} {
			t.Run(fmt.Sprintf("mask=%s still=%s", mask, still), func(t *testing.T) {
				dir := t.TempDir()
				set := []string{"immune.mode=protect", "extauthz.identity=header:x-user", "detect.fleet.at_least=100",
					"immune.max_quarantined=10", "events.mask=" + mask}
				s := start(t, dir, append(set, "extauthz.dry_run=true")...)
				for i := range 12 {
					if code := s.forward("tester", fmt.Sprint("/vault/", i)); code != http.StatusOK {
						t.Fatalf("a dry run answers %d", code)
					}
				}
				harness.Eventually(t, 30*time.Second, "it is found", func() bool {
					return slices.ContainsFunc(s.threats(), func(x threatItem) bool { return x.Source == "tester" && x.Type == "probing" })
				})
				s.probe("first", 20) // who comes behind it is quarantined: so it was dealt with
				harness.Eventually(t, 30*time.Second, "another is quarantined", func() bool { return slices.Equal(s.quarantined(), []string{"agent/first"}) })
				s.Kill()
				s = start(t, dir, append(set, "extauthz.dry_run="+still)...)
				s.probe("second", 20)
				harness.Eventually(t, 30*time.Second, "a third is quarantined", func() bool { return slices.Contains(s.quarantined(), "agent/second") })
				if q := s.quarantined(); len(q) != 2 {
					t.Errorf("quarantined: %v", q)
				}
			})
		}
	}
}

// That a path differs is in no event, and a restart counts it all the same.
func TestARestartCountsConfusingPaths(t *testing.T) {
	for _, mask := range []string{"", "agent_id=hash"} {
		t.Run("mask="+mask, func(t *testing.T) {
			dir := t.TempDir()
			set := []string{"extauthz.identity=header:x-user", "events.mask=" + mask}
			s := start(t, dir, set...)
			s.forward("mallory", "/public//admin")
			s.forward("mallory", "/public/./admin")
			harness.Eventually(t, 30*time.Second, "they are journaled", func() bool { return s.events()["policy.evaluated"] == 2 })
			s.Kill()
			s = start(t, dir, set...)
			s.forward("mallory", "/public/../admin")
			harness.Eventually(t, 30*time.Second, "three are found", func() bool {
				return slices.ContainsFunc(s.threats(), func(x threatItem) bool {
					return x.Source == "mallory" && x.Type == "path_confusion" && x.Count == 3
				})
			})
		})
	}
}

// Who reads the journal later finds those paths at least that were refused as ambiguous: their reason says so.
func TestThymusDetectFindsAmbiguousPaths(t *testing.T) {
	s := start(t, t.TempDir(), "extauthz.identity=header:x-user")
	for range 3 {
		if code := s.forward("mallory", "/public/..%2fadmin"); code != http.StatusForbidden {
			t.Fatalf("an ambiguous path is answered with %d", code)
		}
	}
	s.Stop()
	out, err := exec.Command(binary, "detect", "--journal", filepath.Join(s.dir, "state", "journal"), "-o", "json").Output()
	if err != nil || !strings.Contains(string(out), "path_confusion") || !strings.Contains(string(out), "mallory") {
		t.Errorf("%v: %s", err, out)
	}
}
