package immune_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"thymus/pdp/immune"
)

func report(s immune.Severity, change ...func(*immune.Report)) immune.Report {
	r := immune.Report{Severity: s, Type: immune.ErrorSpike, Message: "evaluations fail", AgentID: "a", Module: "m", Meta: json.RawMessage(`{ "n": 1 }`)}
	for _, c := range change {
		c(&r)
	}
	return r
}

func TestImmuneEventsMakeTheirEvents(t *testing.T) {
	b := born(t)
	defer func() { b.close() }()
	for want, r := range map[string]immune.Report{
		"event_published":                           report(immune.Warning),
		"event_published critical_event":            report(immune.Critical),
		"event_published self_protection_triggered": report(immune.Info, func(r *immune.Report) { r.Action = "quarantine" }),
	} {
		if _, err := b.log.Publish(r); err != nil {
			t.Fatal(err)
		}
		if got := b.types(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	e, err := b.log.Publish(report(immune.Warning))
	if err != nil || e.ID != 4 || e.Category != "error_spike" || string(e.Meta) != `{"n":1}` {
		t.Errorf("%v %+v", err, e)
	}
	b.types()
	for _, s := range []struct {
		to   immune.Severity
		want string
	}{{immune.Warning, ""}, {immune.Critical, "severity_changed critical_event"}, {immune.Info, "severity_changed"}} {
		if _, err := b.log.SetSeverity(4, s.to, ""); err != nil {
			t.Fatal(err)
		}
		if got := b.types(); got != s.want {
			t.Errorf("to %s: %q, want %q", s.to, got, s.want)
		}
	}
	if _, err := b.log.SetSeverity(99, immune.Info, ""); !errors.Is(err, immune.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if b.again(); b.log.Health(60).ActiveIssues != 2 {
		t.Errorf("after a restart: %+v", b.log.Health(60))
	}
	if e, err := b.log.Publish(report(immune.Info)); err != nil || e.ID != 5 {
		t.Errorf("%v, id %d after a restart", err, e.ID)
	}
}

func TestReportsAreChecked(t *testing.T) {
	b := born(t)
	defer b.close()
	for field, change := range map[string]func(*immune.Report){
		"severity": func(r *immune.Report) { r.Severity = "BAD" },
		"type":     func(r *immune.Report) { r.Type = "BAD" },
		"message":  func(r *immune.Report) { r.Message = "" },
		"agent_id": func(r *immune.Report) { r.AgentID = strings.Repeat("x", 257) },
		"module":   func(r *immune.Report) { r.Module = strings.Repeat("x", 257) },
		"meta":     func(r *immune.Report) { r.Meta = json.RawMessage(`[]`) },
	} {
		var fe *immune.FieldError
		if _, err := b.log.Publish(report(immune.Info, change)); !errors.As(err, &fe) || fe.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if e := b.types(); e != "" {
		t.Errorf("refused reports made %q", e)
	}
}

func TestRecentIsPagedAndHealthCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer b.close()
		for i := range 30 {
			if _, err := b.log.Publish(report(immune.Severities()[i%3])); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		var ids []int64
		next := int64(0)
		for {
			items, n := b.log.Recent(20, next, 7)
			for _, e := range items {
				ids = append(ids, e.ID)
			}
			if next = n; n == 0 {
				break
			}
		}
		if len(ids) != 20 || ids[0] != 30 || ids[19] != 11 {
			t.Errorf("%v", ids)
		}
		h := b.log.Health(20)
		if fmt.Sprint(h.ActiveIssues, h.CriticalIssues, len(h.LastEvents), h.LastEvents[0].ID) != "14 7 10 30" {
			t.Errorf("%+v", h)
		}
		if h := b.log.Health(0); h.LastEvents == nil || len(h.LastEvents) != 0 {
			t.Errorf("an empty window: %+v", h)
		}
	})
}
