package threat_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/internal/state"
	"thymus/pdp"
	"thymus/pdp/threat"
)

type sink struct{ events []pdp.Event }

func (s *sink) Room(pdp.Class) bool { return true }
func (s *sink) Publish(_ pdp.Class, e *pdp.Event) bool {
	c := *e
	c.Type, c.Payload = strings.Clone(e.Type), append([]byte(nil), e.Payload...)
	s.events = append(s.events, c)
	return true
}

func (s *sink) types() string {
	var n []string
	for _, e := range s.events {
		n = append(n, strings.TrimPrefix(e.Type, "threat."))
	}
	s.events = nil
	return strings.Join(n, " ")
}

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func open(t *testing.T) (*threat.Embedded, *sink, *clock, func() *threat.Embedded) {
	t.Helper()
	path, s, c := filepath.Join(t.TempDir(), "state.db"), &sink{}, &clock{time.Unix(1735424567, 890_000_000)}
	st, err := state.Open(path, s, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := threat.OpenEmbedded(st, c.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return r, s, c, func() *threat.Embedded {
		st.Close()
		if st, err = state.Open(path, s, 0); err != nil {
			t.Fatal(err)
		}
		r, err := threat.OpenEmbedded(st, c.now)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func ptr[T any](v T) *T { return &v }

func make1(t *testing.T, r *threat.Embedded) threat.Threat {
	t.Helper()
	th, err := r.Create(context.Background(), threat.Report{
		Type: "sql_injection", Source: "api_gateway", Severity: threat.Medium, Metadata: json.RawMessage(`{ "ip": "1" }`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return th
}

func TestChangesMakeTheirEvents(t *testing.T) {
	for _, c := range []struct {
		name   string
		from   []threat.Change
		change threat.Change
		events string
		err    error
	}{
		{name: "a move forward is one event", change: threat.Change{Status: ptr(threat.Investigating)}, events: "status_changed"},
		{name: "a move may skip", change: threat.Change{Status: ptr(threat.Mitigated)}, events: "status_changed mitigated"},
		{name: "the same status is nothing", change: threat.Change{Status: ptr(threat.Open)}},
		{name: "becoming ESCALATED escalates", change: threat.Change{Status: ptr(threat.Escalated)}, events: "status_changed escalated"},
		{name: "severity up escalates", change: threat.Change{Severity: ptr(threat.High)}, events: "severity_changed escalated"},
		{name: "severity down does not", change: threat.Change{Severity: ptr(threat.Low)}, events: "severity_changed"},
		{name: "both at once are two escalations", change: threat.Change{Severity: ptr(threat.High), Status: ptr(threat.Escalated)},
			events: "status_changed severity_changed escalated escalated"},
		{name: "a move back is refused", from: []threat.Change{{Status: ptr(threat.Mitigated)}},
			change: threat.Change{Status: ptr(threat.Open)}, err: threat.ErrConflict},
		{name: "mitigated is said once", from: []threat.Change{{Status: ptr(threat.Mitigated)}},
			change: threat.Change{Status: ptr(threat.Resolved)}, events: "status_changed"},
		{name: "what is final takes no severity", from: []threat.Change{{Status: ptr(threat.Closed)}},
			change: threat.Change{Severity: ptr(threat.Low)}, err: threat.ErrConflict},
		{name: "what is final takes no resolution", from: []threat.Change{{Status: ptr(threat.Resolved)}},
			change: threat.Change{Resolution: ptr("x")}, err: threat.ErrConflict},
		{name: "what is final takes its own status", from: []threat.Change{{Status: ptr(threat.Closed)}},
			change: threat.Change{Status: ptr(threat.Closed)}},
		{name: "resolved does not become closed", from: []threat.Change{{Status: ptr(threat.Resolved)}},
			change: threat.Change{Status: ptr(threat.Closed)}, err: threat.ErrConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, s, _, reopen := open(t)
			th := make1(t, r)
			for _, f := range c.from {
				if _, err := r.Change(context.Background(), th.ID, f); err != nil {
					t.Fatal(err)
				}
			}
			s.events = nil
			got, err := r.Change(context.Background(), th.ID, c.change)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if e := s.types(); e != c.events {
				t.Errorf("events %q, want %q", e, c.events)
			}
			if err == nil {
				if stored, _ := reopen().Get(context.Background(), th.ID); stored.Version != got.Version || stored.Status != got.Status {
					t.Errorf("stored %+v, answered %+v", stored, got)
				}
			}
		})
	}
}

func TestPayloadsAreThoseOfTheContract(t *testing.T) {
	r, s, c, _ := open(t)
	th := make1(t, r)
	c.t = c.t.Add(time.Hour)
	_, err := r.Change(context.Background(), th.ID, threat.Change{
		Status: ptr(threat.Closed), Severity: ptr(threat.High), Reason: ptr("seen again"), Resolution: ptr("blocked"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"threat.detected": `{"threat_id":"ID","type":"sql_injection","source":"api_gateway","severity":"MEDIUM","status":"OPEN",` +
			`"metadata":{"ip":"1"},"detected_at":1735424567.890000}`,
		"threat.status_changed": `{"threat_id":"ID","type":"sql_injection","source":"api_gateway","severity":"HIGH",` +
			`"old_status":"OPEN","new_status":"CLOSED","changed_at":1735428167.890000}`,
		"threat.severity_changed": `{"threat_id":"ID","old_severity":"MEDIUM","new_severity":"HIGH","reason":"seen again",` +
			`"changed_at":1735428167.890000}`,
		"threat.escalated": `{"threat_id":"ID","type":"sql_injection","severity":"HIGH","old_severity":"MEDIUM",` +
			`"new_severity":"HIGH","reason":"seen again","escalated_at":1735428167.890000}`,
		"threat.mitigated": `{"threat_id":"ID","type":"sql_injection","severity":"HIGH","resolution":"blocked",` +
			`"duration_seconds":3600.000000,"mitigated_at":1735428167.890000}`,
	}
	if len(s.events) != len(want) {
		t.Errorf("%d events, want %d", len(s.events), len(want))
	}
	for _, e := range s.events {
		if got := strings.ReplaceAll(string(e.Payload), th.ID, "ID"); got != want[e.Type] {
			t.Errorf("%s:\n got %s\nwant %s", e.Type, got, want[e.Type])
		}
		if e.Key != th.ID || e.Source != pdp.SourceThreat {
			t.Errorf("%s: key %q source %v", e.Type, e.Key, e.Source)
		}
	}
}

func TestReportsAreChecked(t *testing.T) {
	r, s, _, _ := open(t)
	for field, rep := range map[string]threat.Report{
		"type":        {Source: "s", Severity: threat.Low},
		"source":      {Type: "t", Severity: threat.Low},
		"severity":    {Type: "t", Source: "s", Severity: "BAD"},
		"metadata":    {Type: "t", Source: "s", Severity: threat.Low, Metadata: json.RawMessage(`[1]`)},
		"description": {Type: "t", Source: "s", Severity: threat.Low, Description: strings.Repeat("x", 5000)},
	} {
		var fe *threat.FieldError
		if _, err := r.Create(context.Background(), rep); !errors.As(err, &fe) || fe.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if len(s.events) != 0 {
		t.Errorf("refused reports made %d events", len(s.events))
	}
}

func TestListsArePagedNewestFirst(t *testing.T) {
	r, _, c, _ := open(t)
	var ids []string
	for range 5 {
		ids = append(ids, make1(t, r).ID)
		c.t = c.t.Add(time.Millisecond)
	}
	if _, err := r.Change(context.Background(), ids[2], threat.Change{Status: ptr(threat.Closed)}); err != nil {
		t.Fatal(err)
	}
	f := threat.Filter{Statuses: []threat.Status{threat.Open}}
	first, next, _ := r.List(context.Background(), f, "", 3)
	rest, end, _ := r.List(context.Background(), f, next, 3)
	var got []string
	for _, th := range append(first, rest...) {
		got = append(got, th.ID)
	}
	if want := ids[4] + ids[3] + ids[1] + ids[0]; strings.Join(got, "") != want || len(first) != 3 || end != "" {
		t.Errorf("got %v then end %q", got, end)
	}
	st, _ := r.Stats(context.Background())
	if st.Total != 5 || st.ByStatus[threat.Closed] != 1 || st.ByStatus[threat.Open] != 4 || st.ByType["sql_injection"] != 5 {
		t.Errorf("stats %+v", st)
	}
}
