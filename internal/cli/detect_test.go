package cli_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/pdp"
)

// pastJournal writes a journal in which thirty agents are at work, one of them probes and one is refused now and then.
func pastJournal(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journal")
	j, _, err := journal.Open(journal.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	enc := emitter.NewEncoder(func(uint32) *emitter.Rows { return nil }, nil)
	origin := emitter.NewOrigin("test", 1)
	b := journal.Batch{}
	n := uint64(0)
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	put := func(agent, resource string, deny bool) {
		n++
		r := pdp.Record{
			Time: at.UnixNano(), Eval: 4000, Row: -1, Effect: pdp.Allow, Flags: pdp.FlagAllowed | pdp.FlagResource, Revision: "r1",
			SubjectType: "agent", SubjectID: agent, Action: "read", Resource: resource, Reason: "because", ID: pdp.NewID(at.UnixMilli(), n, 1),
		}
		if deny {
			r.Effect, r.Flags = pdp.Deny, pdp.FlagResource
		}
		lines, events := enc.Decision(b.Lines, &r, origin, n*8)
		if b.Lines = lines; b.Events == 0 {
			b.First = r.Time
		}
		b.Last, b.Events = r.Time, b.Events+events
		at = at.Add(100 * time.Millisecond)
	}
	for range 10 {
		for i := range 30 {
			put(fmt.Sprint("worker-", i), "orders", i == 3)
		}
	}
	for i := range 12 {
		put("prober", fmt.Sprint("secret-", i), true)
	}
	if err := j.Append(&b); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDetectFindsWhatThePastHeld(t *testing.T) {
	dir := pastJournal(t)
	out, errs, code := call{args: "detect --journal " + dir}.run(t)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	want := []string{
		`FIRST LASTED DETECTOR SEVERITY COUNT SUBJECT PROTECT WOULD`,
		`2026-03-02T12:00:27Z 0s repeated_denials MEDIUM 10 worker-3 -`,
		`2026-03-02T12:00:30Z 0s probing HIGH 8 prober quarantine`,
		`2026-03-02T12:00:30Z 0s repeated_denials MEDIUM 10 prober -`,
		`312 decisions of 2026-03-02T12:00:00Z to 2026-03-02T12:00:31Z, 0 changes of policy: 3 incidents, 1 subjects would be quarantined`,
	}
	var got []string
	for line := range strings.Lines(out) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", out)
	}
}

func TestDetectTriesThresholds(t *testing.T) {
	dir := pastJournal(t)
	for _, c := range []struct {
		name, args string
		incidents  int
		quarantine int
	}{
		{"a higher threshold finds less", "--set detect.probing.threshold=20", 2, 0},
		{"a lower one acts on more", "--set detect.denials.medium=2 --set detect.denials.high=5", 3, 2},
		{"who is exempt is not quarantined", "--set immune.exempt=prober", 3, 0},
		{"a decoy", "--set detect.decoys=secret-11", 4, 1},
		{"a later start", "--from 2026-03-02T12:00:29Z", 2, 1},
		{"an earlier end", "--to 2026-03-02T12:00:20Z", 0, 0},
		{"two at once are enough to suspect the policy", "--set detect.fleet.at_least=2 --set detect.fleet.percent=1 --set detect.probing.enabled=false", 2, 0},
	} {
		out, errs, code := call{args: "detect -o json --journal " + dir + " " + c.args}.run(t)
		if code != 0 || errs != "" {
			t.Fatalf("%s: exit %d: %s", c.name, code, errs)
		}
		var d struct {
			Decisions, Unreadable int
			Quarantine            int `json:"would_quarantine"`
			Incidents             []struct {
				Incident, Detector, Severity string
				Metadata                     map[string]any
			}
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, out)
		}
		if d.Decisions == 0 || d.Unreadable != 0 || len(d.Incidents) != c.incidents || d.Quarantine != c.quarantine {
			t.Errorf("%s: %d incidents and %d quarantined, want %d and %d\n%s", c.name, len(d.Incidents), d.Quarantine, c.incidents, c.quarantine, out)
		}
	}
}

func TestDetectRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"detect --journal DIR/none":                                 "thymus: ",
		"detect --journal DIR --to never":                           `thymus: --to "never": expected an event's number`,
		"detect --journal DIR --set detect.probing.threshold=1000":  `thymus: key "detect.probing.threshold": got "1000", expected`,
		"detect --journal DIR --set detect.role_change.threshold=1": `thymus: key "detect.role_change.threshold": got "1", expected`,
		"detect more": `thymus: unknown command "more" for "thymus detect"`,
	} {
		if out, errs, code := (call{args: args}).run(t); code != 2 || out != "" || !strings.HasPrefix(errs, want) {
			t.Errorf("%s: exit %d\n%s%s", args, code, out, errs)
		}
	}
}
