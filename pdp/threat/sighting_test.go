package threat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"thymus/pdp/threat"
)

func seen(incident string, n int, s threat.Severity, at time.Time) threat.Sighting {
	return threat.Sighting{Incident: incident, Count: n, At: at.UnixNano(), Reason: fmt.Sprint("seen ", n), Report: threat.Report{
		Type: "repeated_denials", Source: "agent-7", Severity: s, Metadata: json.RawMessage(`{"agent_id":"agent-7"}`),
	}}
}

func TestOneIncidentIsOneThreat(t *testing.T) {
	type step struct {
		name     string
		seen     threat.Sighting
		status   *threat.Status // moved to before
		made     bool
		count    int
		severity threat.Severity
		events   string
	}
	base := time.Unix(1735424567, 890_000_000)
	steps := []step{
		{"the first makes it", seen("i", 10, threat.Medium, base), nil, true, 10, threat.Medium, "detected"},
		{"the same again is nothing", seen("i", 10, threat.Medium, base), nil, false, 10, threat.Medium, ""},
		{"more of it counts and says nothing", seen("i", 20, threat.Medium, base), nil, false, 20, threat.Medium, ""},
		{"less of it is an old one", seen("i", 11, threat.Low, base), nil, false, 20, threat.Medium, ""},
		{"worse of it escalates", seen("i", 50, threat.High, base), nil, false, 50, threat.High, "severity_changed escalated"},
		{"a replay lowers nothing", seen("i", 10, threat.Medium, base), nil, false, 50, threat.High, ""},
		{"while it is investigated it goes on", seen("i", 60, threat.High, base), ptr(threat.Investigating), false, 60, threat.High, "status_changed"},
		{"before its end it changes nothing", seen("i", 70, threat.Critical, base.Add(-time.Second)), ptr(threat.Closed), false, 60, threat.High,
			"status_changed mitigated"},
		{"after its end it is another", seen("i", 80, threat.High, base.Add(time.Minute)), nil, true, 80, threat.High, "detected"},
	}
	r, s, _, reopen := open(t)
	last := ""
	var reg interface {
		threat.Registry
		threat.Raiser
	} = r
	for i, st := range steps {
		if st.status != nil {
			if _, err := reg.Change(context.Background(), last, threat.Change{Status: st.status}); err != nil {
				t.Fatal(err)
			}
		}
		th, made, err := reg.Raise(context.Background(), st.seen)
		if err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		if made != st.made || th.Count != st.count || th.Severity != st.severity {
			t.Errorf("%s: made %v, count %d, %s", st.name, made, th.Count, th.Severity)
		}
		if e := s.types(); e != st.events {
			t.Errorf("%s: events %q, want %q", st.name, e, st.events)
		}
		if made == (last == th.ID) {
			t.Errorf("%s: id %s after %s", st.name, th.ID, last)
		}
		last = th.ID
		if i == 4 { // what is known of incidents survives
			reg = reopen()
			s.events = nil // offered again
		}
	}
	if st, _ := reg.Stats(context.Background()); st.Total != 2 {
		t.Errorf("%d threats, want 2", st.Total)
	}
}

func TestSightingsAreChecked(t *testing.T) {
	r, s, c, _ := open(t)
	for field, change := range map[string]func(*threat.Sighting){
		"incident": func(x *threat.Sighting) { x.Incident = "" },
		"count":    func(x *threat.Sighting) { x.Count = 0 },
		"severity": func(x *threat.Sighting) { x.Severity = "BAD" },
		"metadata": func(x *threat.Sighting) { x.Metadata = json.RawMessage(`1`) },
	} {
		x := seen("i", 1, threat.Low, c.t)
		change(&x)
		var fe *threat.FieldError
		if _, _, err := r.Raise(context.Background(), x); !errors.As(err, &fe) || fe.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if len(s.events) > 0 {
		t.Errorf("refused sightings made %d events", len(s.events))
	}
}

// The oldest final ones go first, then the oldest; the registry never holds more than its bound, after a restart too.
func TestTheRegistryIsBounded(t *testing.T) {
	r, s, c, reopen := open(t)
	r.SetLimit(10)
	var ids []string
	for i := range 10 {
		c.t = c.t.Add(time.Millisecond)
		th := make1(t, r)
		if i == 3 || i == 6 {
			if _, err := r.Change(context.Background(), th.ID, threat.Change{Status: ptr(threat.Closed)}); err != nil {
				t.Fatal(err)
			}
		}
		ids = append(ids, th.ID)
	}
	held := func(r *threat.Embedded) (out []int) {
		for i, id := range ids {
			if _, err := r.Get(context.Background(), id); err == nil {
				out = append(out, i)
			}
		}
		return out
	}
	for _, want := range [][]int{
		{0, 1, 2, 4, 5, 6, 7, 8, 9, 10},
		{0, 1, 2, 4, 5, 7, 8, 9, 10, 11},
		{1, 2, 4, 5, 7, 8, 9, 10, 11, 12},
		{2, 4, 5, 7, 8, 9, 10, 11, 12, 13},
	} {
		c.t = c.t.Add(time.Millisecond)
		ids = append(ids, make1(t, r).ID)
		if got := held(r); !slices.Equal(got, want) {
			t.Fatalf("held %v, want %v", got, want)
		}
	}
	if got := held(reopen()); !slices.Equal(got, []int{2, 4, 5, 7, 8, 9, 10, 11, 12, 13}) {
		t.Errorf("stored %v", got)
	}
	s.events = nil
}
