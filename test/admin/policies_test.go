package admin_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"thymus/test/harness"
)

const (
	spending = `{"policy_id":"spending","name":"Spending","rules":[{"rule_id":"small","effect":"allow","conditions":[{"field":"params.amount","operator":"<=","value":100}]}]}`
	buy      = `{"agent_id":"a","action":"buy","params":{"amount":50}}`
	module   = "package policies.night\n\ndeny contains {\"rule\": \"asleep\", \"guardrail\": true} if input.context.hour > 22\n"
)

func TestAPolicyDecidesFromTheAnswerOn(t *testing.T) {
	s := start(t, t.TempDir())
	if ok, _ := s.decide(buy); ok {
		t.Fatal("permitted without a policy")
	}
	a := s.must(201, "POST", "/v1/policies", spending, "X-Request-ID", "r-1")
	if a.Header.Get("ETag") != `"1"` || a.Header.Get("Location") != "/v1/policies/spending" || a.Header.Get("X-Request-ID") != "r-1" {
		t.Fatalf("%v", a.Header)
	}
	if ok, rule := s.decide(buy); !ok || rule != "small" {
		t.Fatalf("%t by %q", ok, rule)
	}
	s.must(200, "PATCH", "/v1/policies/spending", `{"enabled":false}`, "Content-Type", "application/merge-patch+json", "If-Match", `"1"`)
	if ok, _ := s.decide(buy); ok {
		t.Fatal("a policy that is switched off permits")
	}
	s.must(200, "POST", "/v1/policies/spending/rollback", `{"revision":1}`)
	if ok, _ := s.decide(buy); !ok {
		t.Fatal("the rollback is not active")
	}
	got := s.must(200, "GET", "/v1/policies/spending", "")
	if a := s.must(200, "PUT", "/v1/policies/spending", got.Body); a.Header.Get("ETag") == "" {
		t.Fatal("what was read cannot be sent back")
	}
	s.must(201, "PUT", "/v1/policies/night", module, "Content-Type", "text/plain")
	if ok, rule := s.decide(`{"agent_id":"a","action":"buy","params":{"amount":50},"environment":{"hour":23}}`); ok || rule != "asleep" {
		t.Fatalf("%t by %q", ok, rule)
	}
	if a := s.must(200, "GET", "/v1/policies/night", "", "Accept", "text/plain"); a.Body != module || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%s: %s", a.Header.Get("Content-Type"), a.Body)
	}
	s.must(200, "PATCH", "/v1/policies/night", `{"enabled":false}`)
	s.must(200, "PUT", "/v1/policies/night", module+"# and a comment\n", "Content-Type", "text/plain")
	if a := s.must(200, "GET", "/v1/policies/night", ""); a.Field("enabled") != false {
		t.Fatal("a source says nothing about the switch, and switched it on")
	}
	s.must(201, "PUT", "/v1/policies/yaml", "rules:\n  - {rule_id: r, effect: warn}\npolicy_id: yaml\n", "Content-Type", "application/yaml")
	harness.Eventually(t, 30*time.Second, "statistics", func() bool {
		a := s.must(200, "GET", "/v1/policies/spending/stats", "")
		return a.Field("matches") == 3.0 && a.Field("outranked") == 1.0 // night's guardrail decided the third
	})
	s.must(204, "DELETE", "/v1/policies/spending", "", "If-Match", `"4"`)
	s.must(404, "GET", "/v1/policies/spending", "")
	if n := len(s.must(200, "GET", "/v1/policies/spending/revisions", "").Field("items").([]any)); n != 5 {
		t.Fatalf("%d revisions outlive the policy", n)
	}
	harness.Eventually(t, 30*time.Second, "events", func() bool { return len(s.events("policy.deleted")) == 1 })
	made := s.events("policy.created")
	if len(made) != 3 || made[0]["meta"].(map[string]any)["correlation_id"] != "r-1" {
		t.Fatalf("%v", made)
	}
}

func TestFilesAreSeenAndCannotBeChanged(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "policies", "spend.yaml")
	harness.Write(t, file, "policy_id: spending\nrules:\n- rule_id: small\n  effect: allow\n")
	s := start(t, dir, "policies")
	a := s.must(200, "GET", "/v1/policies/spending", "")
	if a.Field("read_only") != true || a.Field("origin") != "policies/spend.yaml" || a.Field("rules") == nil {
		t.Fatalf("%s", a.Body)
	}
	for _, x := range [][3]string{{"PUT", "", spending}, {"PATCH", "", `{"enabled":false}`}, {"DELETE", "", ""}, {"POST", "/rollback", `{"revision":1}`}} {
		if a := s.ask(x[0], "/v1/policies/spending"+x[1], x[2]); a.Status != 409 || !strings.Contains(a.Body, "spend.yaml") {
			t.Errorf("%s: %d %s", x[0], a.Status, a.Body)
		}
	}
	s.must(409, "POST", "/v1/policies", spending)
	s.must(201, "PUT", "/v1/policies/mine", strings.ReplaceAll(spending, "spending", "mine"))

	// A broken file leaves the last good set answering, and changes by the API are made on top of that.
	harness.Write(t, file, "policy_id: [")
	harness.Eventually(t, 30*time.Second, "the refusal", func() bool { return strings.Contains(s.Log(), "policies not reloaded") })
	s.must(201, "PUT", "/v1/policies/more", strings.ReplaceAll(spending, "spending", "more"))
	if a := s.must(200, "GET", "/v1/policies/spending", ""); a.Field("read_only") != true {
		t.Fatal(a.Body)
	}
	// A file that takes an id of a stored policy is refused; one that changes is told.
	refused := strings.Count(s.Log(), "policies not reloaded")
	harness.Write(t, file, "policy_id: mine\nrules: []\n")
	harness.Eventually(t, 30*time.Second, "the second refusal", func() bool { return strings.Count(s.Log(), "policies not reloaded") > refused })
	harness.Write(t, file, "policy_id: spending\nrules:\n- rule_id: small\n  effect: deny\n")
	harness.Eventually(t, 30*time.Second, "the event", func() bool { return len(s.events("policy.updated")) == 1 })
	if p := s.events("policy.updated")[0]["payload"].(map[string]any); p["policy_id"] != "spending" {
		t.Fatalf("%v", p)
	}
}

func TestWhatIsRefusedAndHow(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(201, "POST", "/v1/policies", spending)
	s.must(201, "PUT", "/v1/policies/night", module, "Content-Type", "text/plain")
	threat := s.must(201, "POST", "/v1/threats", `{"type":"t","source":"s","severity":"LOW"}`).Field("threat_id").(string)
	s.must(200, "PATCH", "/v1/threats/"+threat, `{"status":"RESOLVED"}`)
	deep := strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65)
	for _, x := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		has                      string
	}{
		{"malformed JSON", "POST", "/v1/policies", `{"policy_id":`, nil, 400, "malformed"},
		{"duplicate keys", "POST", "/v1/policies", `{"policy_id":"a","policy_id":"b","rules":[]}`, nil, 400, "policy_id"},
		{"no object", "POST", "/v1/policies", `[]`, nil, 400, "object"},
		{"nested too deep", "POST", "/v1/threats", deep, nil, 400, "deeper than 64"},
		{"invalid UTF-8", "POST", "/v1/policies", "package policies.x\xff", []string{"Content-Type", "text/plain"}, 400, "UTF-8"},
		{"a missing member", "POST", "/v1/threats", `{"type":"t","severity":"LOW"}`, nil, 400, `"field":"source"`},
		{"an empty member", "POST", "/v1/threats", `{"type":"","source":"s","severity":"LOW"}`, nil, 400, `"field":"type"`},
		{"a member of another type", "POST", "/v1/threats", `{"type":"t","source":"s","severity":"LOW","metadata":[]}`, nil, 400, `"field":"metadata"`},
		{"null for an optional member", "POST", "/v1/threats", `{"type":"t","source":"s","severity":"LOW","description":null}`, nil, 400, `"field":"description"`},
		{"an unknown severity", "POST", "/v1/threats", `{"type":"t","source":"s","severity":"low"}`, nil, 400, `"field":"severity"`},
		{"an unknown filter", "GET", "/v1/threats?status=OPENED", "", nil, 400, `"field":"status"`},
		{"a page too large", "GET", "/v1/policies?limit=1001", "", nil, 400, `"field":"limit"`},
		{"a window that is no number", "GET", "/v1/immune/health?minutes=x", "", nil, 400, `"field":"minutes"`},
		{"an unknown immune type", "POST", "/v1/immune/events", `{"severity":"INFO","type":"X","message":"m"}`, nil, 400, `"field":"type"`},
		{"no time at all", "PUT", "/v1/immune/quarantine/a", `{"ttl_seconds":0}`, nil, 400, `"field":"ttl_seconds"`},
		{"a bad id", "PUT", "/v1/policies/a%20b", spending, nil, 400, `"field":"policy_id"`},
		{"no token", "GET", "/v1/policies", "", []string{"Authorization", ""}, 401, `"status":401`},
		{"an unknown policy", "GET", "/v1/policies/x", "", nil, 404, `"status":404`},
		{"an unknown path", "GET", "/v1/policy", "", nil, 404, `"status":404`},
		{"an unknown threat", "GET", "/v1/threats/x", "", nil, 404, "threat"},
		{"an unknown immune event", "PATCH", "/v1/immune/events/99", `{"severity":"INFO"}`, nil, 404, "immune event"},
		{"releasing who is free", "DELETE", "/v1/immune/quarantine/x", "", nil, 404, "not quarantined"},
		{"an unknown revision", "POST", "/v1/policies/spending/rollback", `{"revision":7}`, nil, 404, "revision"},
		{"a method that is none", "PUT", "/v1/policies", "{}", nil, 405, "GET, HEAD, POST"},
		{"stats is no policy", "PUT", "/v1/policies/stats", spending, nil, 405, "GET, HEAD"},
		{"an id that exists", "POST", "/v1/policies", spending, nil, 409, "exists"},
		{"a built-in policy", "DELETE", "/v1/policies/admin_full_access", "", nil, 409, "policies.builtin"},
		{"a final threat", "PATCH", "/v1/threats/" + threat, `{"status":"OPEN"}`, nil, 409, "final"},
		{"a stale tag", "PUT", "/v1/policies/spending", spending, []string{"If-Match", `"9"`}, 412, "meanwhile"},
		{"a weak tag", "DELETE", "/v1/policies/spending", "", []string{"If-Match", `W/"1"`}, 412, "meanwhile"},
		{"any tag where there is nothing", "PUT", "/v1/policies/new", strings.ReplaceAll(spending, "spending", "new"), []string{"If-Match", "*"}, 412, "meanwhile"},
		{"only if it is new", "PUT", "/v1/policies/spending", spending, []string{"If-None-Match", "*"}, 412, "meanwhile"},
		{"a body too large", "POST", "/v1/threats", `{"type":"` + strings.Repeat("x", 65<<10) + `"}`, nil, 413, "65536"},
		{"a policy that is a little too large", "PUT", "/v1/policies/x", `{"description":"` + strings.Repeat("x", 1<<20) + `","rules":[]}`, nil, 413, "1048576"},
		{"a policy that is much too large", "PUT", "/v1/policies/x", `{"description":"` + strings.Repeat("x", 16<<20) + `","rules":[]}`, nil, 413, "bytes"},
		{"another content type", "POST", "/v1/policies", "<p/>", []string{"Content-Type", "application/xml"}, 415, "application/yaml"},
		{"a patch that is none", "PATCH", "/v1/policies/spending", `[]`, []string{"Content-Type", "application/json-patch+json"}, 415, "merge-patch"},
		{"a compressed body", "POST", "/v1/policies", spending, []string{"Content-Encoding", "gzip"}, 415, "encoding"},
		{"two faults", "PUT", "/v1/policies/x", `{"rules":[{"rule_id":"r","effect":"alow"},{"rule_id":"r2","effect":"deny","conditions":[{"field":"action","operator":"matches","value":"("}]}]}`, nil, 422, `"rule":"r2"`},
		{"an unknown member", "PUT", "/v1/policies/x", `{"rules":[],"colour":"red"}`, nil, 422, "colour"},
		{"Rego that does not compile", "PUT", "/v1/policies/x", "package policies.x\nallow contains 1 if y", []string{"Content-Type", "text/plain"}, 422, "unsafe"},
		{"another policy's source", "PUT", "/v1/policies/x", module, []string{"Content-Type", "text/plain"}, 422, "night"},
		{"a library", "POST", "/v1/policies", "package lib.x\nf := 1", []string{"Content-Type", "text/plain"}, 422, "policies.NAME"},
		{"a library below policies", "PUT", "/v1/policies/x", "package policies.x\nf := 1", []string{"Content-Type", "text/plain"}, 422, "library"},
		{"a policy that becomes a library", "PUT", "/v1/policies/night", "package policies.night\nf := 1", []string{"Content-Type", "text/plain"}, 422, "library"},
		{"text of another charset", "PUT", "/v1/policies/x", module, []string{"Content-Type", "text/plain; charset=iso-8859-1"}, 415, "utf-8"},
		{"a tag without quotes", "PUT", "/v1/policies/spending", spending, []string{"If-Match", "1"}, 412, "in quotes"},
		{"reading at another tag", "GET", "/v1/policies/spending", "", []string{"If-Match", `"9"`}, 412, `is \"1\"`},
		{"a malformed query", "GET", "/v1/policies?limit=%zz", "", nil, 400, "query"},
		{"a semicolon in the query", "GET", "/v1/threats?limit=2;next=x", "", nil, 400, "query"},
		{"a threat's cursor that is none", "GET", "/v1/threats?next=zzz", "", nil, 400, `"field":"next"`},
		{"a subject's cursor that is none", "GET", "/v1/immune/quarantine?next=agent/a", "", nil, 400, `"field":"next"`},
		{"a policy's cursor that is no text", "GET", "/v1/policies?next=%ff", "", nil, 400, `"field":"next"`},
		{"a subject that is no text", "PUT", "/v1/immune/quarantine/%ff", "", nil, 400, `"field":"agent_id"`},
		{"a type that is no text", "PUT", "/v1/immune/quarantine/a?type=%ff", "", nil, 400, `"field":"type"`},
		{"a NUL in a type", "PUT", "/v1/immune/quarantine/a?type=a%00", "", nil, 400, `"field":"type"`},
		{"asking for who is free", "GET", "/v1/immune/quarantine/x", "", nil, 404, "not quarantined"},
		{"an immune event that is none", "GET", "/v1/immune/events/x", "", nil, 404, "immune event"},
		{"a policy below another's rules", "PUT", "/v1/policies/spending.allow", strings.ReplaceAll(spending, `"policy_id":"spending",`, ""), nil, 422, "exclude each other"},
		{"a forbidden builtin", "POST", "/v1/policies", "package policies.x\nallow contains \"r\" if http.send({}).x", []string{"Content-Type", "text/plain"}, 422, "http.send"},
		{"a patched source", "PATCH", "/v1/policies/night", `{"rego":"package policies.night"}`, nil, 422, "PUT"},
		{"YAML that is none", "POST", "/v1/policies", "a: [", []string{"Content-Type", "application/yaml"}, 422, "YAML"},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := s.ask(x.method, x.path, x.body, append([]string{"X-Request-ID", "q"}, x.headers...)...)
			text := a.Body + a.Header.Get("Allow")
			if a.Status != x.status || !strings.Contains(strings.ToLower(text), strings.ToLower(x.has)) {
				t.Fatalf("got %d %v %s", a.Status, a.Header, a.Body)
			}
			if a.Header.Get("Content-Type") != "application/problem+json" || a.Field("status") != float64(x.status) || a.Header.Get("X-Request-ID") != "q" {
				t.Fatalf("no problem of RFC 9457: %v %s", a.Header, a.Body)
			}
			if errs, _ := a.Field("errors").([]any); (x.status == 422) != (len(errs) > 0) {
				t.Fatalf("errors: %s", a.Body)
			}
		})
	}
	if a := s.must(200, "GET", "/v1/policies", ""); strings.Count(a.Body, `"policy_id"`) != 4 {
		t.Fatalf("a refusal left something: %s", a.Body)
	}
}

func TestTokensHaveNamesAndRolesAndAreRotated(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens")
	harness.Write(t, file, "# who may\nci write w-1\ngrafana read r-1\n")
	s := start(t, dir, "--set", "management.token_file="+file)
	as := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	s.must(201, "POST", "/v1/policies", spending, as("w-1")...)
	if a := s.must(200, "GET", "/v1/policies/spending", "", as("r-1")...); a.Field("updated_by") != "ci" {
		t.Fatal(a.Body)
	}
	for _, x := range [][2]string{{"PUT", "/v1/policies/spending"}, {"DELETE", "/v1/policies/spending"}, {"POST", "/v1/threats"}, {"PUT", "/v1/immune/quarantine/a"}} {
		if a := s.must(403, x[0], x[1], "{}", as("r-1")...); !strings.Contains(a.Body, "grafana") {
			t.Error(a.Body)
		}
	}
	streams := map[string]chan error{}
	for _, token := range []string{"w-1", "r-1"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.management+"/v1/events/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := (&http.Client{}).Do(req)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v %v", res, err)
		}
		ended := make(chan error, 1)
		streams[token] = ended
		go func() {
			_, err := io.Copy(io.Discard, res.Body)
			ended <- errors.Join(err, res.Body.Close())
		}()
	}
	harness.Write(t, file, "ci write w-2\ngrafana read r-1\n")
	select {
	case <-streams["w-1"]:
	case <-time.After(30 * time.Second):
		t.Error("a stream outlives its token")
	}
	select {
	case err := <-streams["r-1"]:
		t.Errorf("a stream ended with another's token: %v", err)
	default:
	}
	s.must(200, "GET", "/v1/policies", "", as("r-1")...)
	harness.Write(t, file, "ci write w-2\n")
	select {
	case <-streams["r-1"]:
	case <-time.After(30 * time.Second):
		t.Error("a stream outlives its token")
	}
	harness.Eventually(t, 30*time.Second, "the new token", func() bool { return strings.Contains(s.Log(), "changed file taken") })
	s.must(200, "GET", "/v1/policies", "", as("w-2")...)
	s.must(401, "GET", "/v1/policies", "", as("r-1")...)
	s.must(401, "GET", "/v1/policies", "", as("w-1")...)
	harness.Write(t, file, "ci wrong w-3\n")
	harness.Eventually(t, 30*time.Second, "the refusal of a bad file", func() bool { return strings.Contains(s.Log(), "changed file not taken") })
	s.must(200, "GET", "/v1/policies", "", as("w-2")...)
	limited := 0
	for range 15 {
		if a := s.ask("GET", "/v1/policies", "", as("guess")...); a.Status == 429 && a.Header.Get("Retry-After") != "" {
			limited++
		}
		s.must(200, "GET", "/v1/policies", "", as("w-2")...)
	}
	if limited == 0 {
		t.Error("guesses are not limited")
	}
}

func TestListsArePaged(t *testing.T) {
	s := start(t, t.TempDir())
	for i := range 5 {
		s.must(201, "POST", "/v1/threats", fmt.Sprintf(`{"type":"t%d","source":"s","severity":"LOW"}`, i))
		s.must(201, "POST", "/v1/immune/events", `{"severity":"INFO","type":"ERROR_SPIKE","message":"m"}`)
		s.must(200, "PUT", fmt.Sprintf("/v1/immune/quarantine/a%%2F%d?type=", i), "")
		s.must(201, "PUT", fmt.Sprintf("/v1/policies/p%d", i), `{"rules":[]}`)
		if i > 0 {
			s.must(200, "PUT", "/v1/policies/p0", fmt.Sprintf(`{"rules":[],"version":"%d"}`, i))
		}
	}
	// Each quarantine is told as an immune event too.
	for path, want := range map[string]int{"/v1/threats?severity=LOW,HIGH&": 5, "/v1/immune/events?": 10, "/v1/immune/quarantine?": 5,
		"/v1/policies?": 7, "/v1/policies/p0/revisions?": 5} {
		seen := map[string]bool{}
		for next, pages := "", 0; ; pages++ {
			a := s.must(200, "GET", path+"limit=2"+next, "")
			items := a.Field("items").([]any)
			for _, x := range items {
				seen[fmt.Sprint(x)] = true
			}
			if a.Field("next") == nil {
				break
			}
			if next = "&next=" + a.Field("next").(string); len(items) != 2 || pages > 10 {
				t.Fatalf("%s: %s", path, a.Body)
			}
		}
		if len(seen) != want {
			t.Errorf("%s: %d items, want %d", path, len(seen), want)
		}
	}
}

func TestTheRequestIDIsTheCorrelationOfEachEvent(t *testing.T) {
	s := start(t, t.TempDir())
	id := func(n string) []string { return []string{"X-Request-ID", n} }
	threat := s.must(201, "POST", "/v1/threats", `{"type":"t","source":"s","severity":"LOW"}`, id("c1")...).Field("threat_id").(string)
	s.must(200, "PATCH", "/v1/threats/"+threat, `{"severity":"HIGH","status":"ESCALATED"}`, id("c2")...)
	s.must(201, "POST", "/v1/immune/events", `{"severity":"CRITICAL","type":"ERROR_SPIKE","message":"m"}`, id("c3")...)
	s.must(200, "PATCH", "/v1/immune/events/1", `{"severity":"INFO"}`, id("c4")...)
	s.must(200, "PATCH", "/v1/immune/events/1", `{"severity":"INFO"}`, id("c5")...)
	want := "threat.detected c1, threat.status_changed c2, threat.severity_changed c2, threat.escalated c2, threat.escalated c2, " +
		"immune.event_published c3, immune.critical_event c3, immune.severity_changed c4"
	var got string
	harness.Eventually(t, 30*time.Second, "the events", func() bool {
		var all []string
		for _, e := range append(s.events("threat."), s.events("immune.")...) {
			all = append(all, fmt.Sprintf("%s %v", e["type"], e["meta"].(map[string]any)["correlation_id"]))
		}
		got = strings.Join(all, ", ")
		return len(all) >= 8
	})
	if got != want {
		t.Fatalf("got %s", got)
	}
}

func TestQuarantineByAnOperatorIsOnRecord(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/v1/immune/quarantine/mallory%2F1?type=a%2Fb", `{"reason":"why","ttl_seconds":600}`, "X-Request-ID", "q-1")
	entry := s.must(200, "GET", "/v1/immune/quarantine/mallory%2F1?type=a%2Fb", "")
	if entry.Field("reason") != "why" || entry.Field("by") != "operator" {
		t.Fatal(entry.Body)
	}
	until := entry.Field("until").(float64)
	s.must(404, "GET", "/v1/immune/quarantine/mallory%2F1", "")
	s.must(204, "DELETE", "/v1/immune/quarantine/mallory%2F1?type=a%2Fb", "")
	s.must(404, "DELETE", "/v1/immune/quarantine/mallory%2F1?type=a%2Fb", "")
	s.must(200, "PUT", "/v1/immune/quarantine/mallory%2F1?type=a%2Fb", "")
	harness.Eventually(t, 30*time.Second, "the events", func() bool { return len(s.events("immune.event_published")) == 3 })
	const place = " /v1/immune/quarantine/{agent_id}?type={subject_type}"
	ends := []string{" until " + time.Unix(int64(until), 0).UTC().Format(time.RFC3339), "", " until it is released"}
	for i, want := range []string{"quarantine", "release", "quarantine"} {
		e := s.events("immune.event_published")[i]
		p := e["payload"].(map[string]any)
		meta := p["meta"].(map[string]any)
		if p["agent_id"] != "mallory/1" || meta["action"] != want || meta["by"] != "token" || meta["subject_type"] != "a/b" {
			t.Errorf("%v", e)
		}
		undo := map[string]string{"quarantine": "DELETE", "release": "PUT"}[want] + place
		if said := want + " by an operator (token token)" + ends[i] + "; undo with " + undo; meta["undo"] != undo || p["message"] != said {
			t.Errorf("%v, want %q", e, said)
		}
		if end, ok := meta["until"]; ok != (i == 0) || ok && end != until {
			t.Errorf("%v ends at %f", e, until)
		}
		if i == 0 && (meta["reason"] != "why" || meta["ttl_seconds"] != 600.0 || e["meta"].(map[string]any)["correlation_id"] != "q-1") {
			t.Errorf("%v", e)
		}
	}
	if a := s.must(200, "GET", "/v1/immune/events/2", ""); a.Field("module") != "management" || a.Field("severity") != "INFO" {
		t.Error(a.Body)
	}
	if a := s.must(200, "GET", "/v1/immune/health", ""); a.Field("active_issues") != 0.0 {
		t.Errorf("an order is an issue: %s", a.Body)
	}
}

func TestAPolicyFileIsNotNamedByItsPlaceOnTheHost(t *testing.T) {
	dir := t.TempDir()
	harness.Write(t, filepath.Join(dir, "policies", "risky.rego"), "package policies.risky\nallow contains \"r\" if 1 / input.context.n > 0\n")
	s := start(t, dir, filepath.Join(dir, "policies"))
	for _, engine := range []string{s.data + "/v1/evaluate", s.data + "/v1/data/policies/risky/allow?strict-builtin-errors"} {
		res, err := s.client.Post(engine, "application/json", strings.NewReader(`{"agent_id":"a","action":"x","environment":{"n":0},"input":{"context":{"n":0}}}`))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || strings.Contains(string(b), dir) || !strings.Contains(string(b), "div") {
			t.Errorf("%s: %s %v", engine, b, err)
		}
	}
}

func TestStatisticsTellARuleThatIsOutrankedFromOneThatNeverMatches(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(201, "PUT", "/v1/policies/p", `{"rules":[
		{"rule_id":"wins","effect":"deny","priority":9,"conditions":[{"field":"action","operator":"==","value":"buy"}]},
		{"rule_id":"loses","effect":"allow","conditions":[{"field":"action","operator":"==","value":"buy"}]},
		{"rule_id":"warns","effect":"warn","message":"careful","conditions":[{"field":"action","operator":"==","value":"buy"}]},
		{"rule_id":"hints","effect":"warn","conditions":[{"field":"action","operator":"==","value":"buy"}]},
		{"rule_id":"sleeps","effect":"deny","conditions":[{"field":"action","operator":"==","value":"never"}]}]}`)
	const n = 20
	for range n {
		if ok, rule := s.decide(buy); ok || rule != "wins" {
			t.Fatalf("%t by %q", ok, rule)
		}
	}
	want := `{"policy_id":"p","evaluations":20,"matches":80,"outranked":60,"last_match":0,"rules":[` +
		`{"rule_id":"hints","matches":20,"outranked":20,"last_match":0},{"rule_id":"loses","matches":20,"outranked":20,"last_match":0},` +
		`{"rule_id":"sleeps","matches":0,"outranked":0,"last_match":null},{"rule_id":"warns","matches":20,"outranked":20,"last_match":0},` +
		`{"rule_id":"wins","matches":20,"outranked":0,"last_match":0}]}`
	when := regexp.MustCompile(`"last_match":[0-9.]+`)
	var got string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		got = strings.TrimSpace(when.ReplaceAllString(s.must(200, "GET", "/v1/policies/p/stats", "").Body, `"last_match":0`))
		if got == want {
			return
		}
	}
	t.Fatalf("got  %s\nwant %s", got, want)
}
