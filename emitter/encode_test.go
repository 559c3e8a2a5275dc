package emitter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"thymus/emitter"
	"thymus/pdp"
)

// snapshot has a row of each effect; row 4 has texts longer than an event holds.
func snapshot(t testing.TB) *pdp.Snapshot {
	t.Helper()
	rules := []pdp.Rule{
		{Policy: "admin_full_access", ID: "admin_allow_all", Name: "Admin Allow All", Effect: pdp.Allow},
		{Policy: "guest_read_only", ID: "guest_write_deny", Name: "Guest Write Deny", Effect: pdp.Deny},
		{Policy: "production", ID: "prod_warning", Name: "Prod \"warning\"", Reason: "Deploying to production", Effect: pdp.Warn},
		{Policy: "production", ID: "pii_audit", Effect: pdp.Audit},
		{Policy: strings.Repeat("p", 300), ID: strings.Repeat("r", 300), Reason: strings.Repeat("é", 3000), Effect: pdp.Warn},
	}
	for i := range rules {
		r := &rules[i]
		r.Sentence = pdp.Sentence(r.Effect, r.ID, r.Name, r.Reason)
	}
	return &pdp.Snapshot{Revision: "sha256:8f14e45f", Rules: rules}
}

// persisted is a snapshot whose rows are on record.
func persisted(t testing.TB) (*pdp.Snapshot, *emitter.Revisions) {
	t.Helper()
	revs, broken, err := emitter.OpenRevisions(t.TempDir())
	if err != nil || len(broken) > 0 {
		t.Fatal(err, broken)
	}
	s := snapshot(t)
	if err := revs.Persist(s); err != nil {
		t.Fatal(err)
	}
	return s, revs
}

func base(s *pdp.Snapshot) pdp.Record {
	return pdp.Record{
		Time: 1735424567890123456, Eval: 12345, ID: pdp.NewID(1735424567890, 0x123, 0x456789abcdef0123), Seq: s.Seq, Row: 0,
		Flags: pdp.FlagAllowed | pdp.FlagMatched | pdp.FlagRole | pdp.FlagResource, Effect: pdp.Allow,
		SubjectType: "agent", SubjectID: "ops_agent", Role: "operator", Action: "deploy_application",
		Resource: "production_cluster", Correlation: "req-1",
	}
}

func decode(t testing.TB, e *emitter.Encoder, r *pdp.Record) []map[string]any {
	t.Helper()
	b, n := e.Decision(nil, r, emitter.NewOrigin("host-1", 7), 4096)
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	if len(lines) != n {
		t.Fatalf("%d lines, %d announced", len(lines), n)
	}
	var out []map[string]any
	for _, l := range lines {
		if len(l) > emitter.MaxEvent {
			t.Fatalf("an event of %d bytes", len(l))
		}
		d := json.NewDecoder(bytes.NewReader(l))
		d.UseNumber()
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		out = append(out, m)
	}
	return out
}

func TestDecisionBytes(t *testing.T) {
	s, revs := persisted(t)
	const meta = `"meta":{"correlation_id":"req-1","version":"1.0"}}` + "\n"
	const d = `"decision_id":"01940f5d-6a52-7123-8567-89abcdef0123","policy_revision":"sha256:8f14e45f","surface":"native",` +
		`"agent_id":"ops_agent","subject_type":"agent","agent_role":"operator","action":"deploy_application"`
	head := func(n int, typ string) string {
		id := emitter.IDForTest("host-1", 7, 4096, n)
		return `{"id":"evt_policy_1735424567890_` + id + `","type":"` + typ +
			`","source":"policy_engine","target":null,"timestamp":1735424567.890123,"payload":{` + d
	}
	for _, c := range []struct {
		name string
		edit func(r *pdp.Record)
		want string
	}{
		{"an allow is one event", func(r *pdp.Record) {},
			head(0, "policy.evaluated") + `,"resource":"production_cluster","result":{"allowed":true,"effect":"allow",` +
				`"matched_policy":"admin_full_access","matched_rule":"admin_allow_all","reason":"Allowed by rule 'Admin Allow All'"},` +
				`"evaluation_time_ms":0.012345,"evaluated_at":1735424567.890123},` + meta},
		{"a deny that also requires an audit is three", func(r *pdp.Record) {
			r.Row, r.Effect = 1, pdp.Deny
			r.Flags = pdp.FlagMatched | pdp.FlagRole | pdp.FlagAudit
		},
			head(0, "policy.evaluated") + `,"resource":null,"result":{"allowed":false,"effect":"deny",` +
				`"matched_policy":"guest_read_only","matched_rule":"guest_write_deny","reason":"Denied by rule 'Guest Write Deny'"},` +
				`"evaluation_time_ms":0.012345,"evaluated_at":1735424567.890123},` + meta +
				head(1, "policy.denied") + `,"matched_policy":"guest_read_only","matched_rule":"guest_write_deny",` +
				`"reason":"Denied by rule 'Guest Write Deny'","denied_at":1735424567.890123},` + meta +
				head(3, "policy.audit_required") + `,"matched_policy":"guest_read_only","matched_rule":"guest_write_deny",` +
				`"requires_audit":true,"audit_at":1735424567.890123},` + meta},
		{"a warning of a row and one of the policy's own", func(r *pdp.Record) {
			r.Row, r.Effect = 2, pdp.Warn
			r.Warnings = []pdp.Warning{{Row: 2}, {Row: -1, Text: "line\nbreak"}}
		},
			head(0, "policy.evaluated") + `,"resource":"production_cluster","result":{"allowed":true,"effect":"warn",` +
				`"matched_policy":"production","matched_rule":"prod_warning","reason":"Deploying to production"},` +
				`"evaluation_time_ms":0.012345,"evaluated_at":1735424567.890123},` + meta +
				head(2, "policy.warning_triggered") + `,"resource":"production_cluster","matched_policy":"production",` +
				`"matched_rule":"prod_warning","warnings":["Deploying to production","line\nbreak"],` +
				`"triggered_at":1735424567.890123},` + meta},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := base(s)
			c.edit(&r)
			got, _ := emitter.NewEncoder(revs.RowsForTest, nil).Decision(nil, &r, emitter.NewOrigin("host-1", 7), 4096)
			if string(got) != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestDecisionRules(t *testing.T) {
	s, revs := persisted(t)
	payload := func(m map[string]any) map[string]any { return m["payload"].(map[string]any) }
	for _, c := range []struct {
		name  string
		edit  func(r *pdp.Record)
		types string
		check func(t *testing.T, ev []map[string]any)
	}{
		{"a default has null policy and rule, and a denial of it too",
			func(r *pdp.Record) { r.Row, r.Flags, r.Effect, r.Reason = -1, 0, pdp.Deny, "No matching rules" },
			"policy.evaluated policy.denied", func(t *testing.T, ev []map[string]any) {
				for _, m := range []map[string]any{payload(ev[0])["result"].(map[string]any), payload(ev[1])} {
					p, ok := m["matched_policy"]
					if q, ok2 := m["matched_rule"]; p != nil || q != nil || !ok || !ok2 {
						t.Errorf("matched: %v", m)
					}
				}
				if _, there := payload(ev[1])["resource"]; there {
					t.Error("policy.denied without a resource names one")
				}
				if _, there := payload(ev[0])["agent_role"]; there {
					t.Error("a role that was not given is there")
				}
			}},
		{"a document that is no verdict has nulls and no denial",
			func(r *pdp.Record) { r.Row, r.Flags, r.Effect, r.Surface = -1, 0, pdp.None, pdp.SurfaceOPA },
			"policy.evaluated", func(t *testing.T, ev []map[string]any) {
				res := payload(ev[0])["result"].(map[string]any)
				if a, ok := res["allowed"]; a != nil || !ok || res["effect"] != nil {
					t.Errorf("result: %v", res)
				}
			}},
		{"quarantine is named though no row decided",
			func(r *pdp.Record) {
				r.Row, r.Effect, r.Policy, r.Rule = -1, pdp.Deny, "immune", "quarantine"
				r.Flags = pdp.FlagMatched | pdp.FlagQuarantined
			},
			"policy.evaluated policy.denied", func(t *testing.T, ev []map[string]any) {
				if p := payload(ev[1]); p["matched_policy"] != "immune" || p["matched_rule"] != "quarantine" {
					t.Errorf("denied: %v", p)
				}
			}},
		{"no correlation is null", func(r *pdp.Record) { r.Correlation = "" }, "policy.evaluated",
			func(t *testing.T, ev []map[string]any) {
				if c, ok := ev[0]["meta"].(map[string]any)["correlation_id"]; c != nil || !ok {
					t.Errorf("correlation_id: %v", c)
				}
			}},
		{"cut fields are named, those of rows too",
			func(r *pdp.Record) {
				r.Row, r.Effect, r.Cut = 4, pdp.Warn, pdp.CutAction
				r.Warnings = []pdp.Warning{{Row: 4}}
			},
			"policy.evaluated policy.warning_triggered", func(t *testing.T, ev []map[string]any) {
				want := []any{"action", "matched_policy", "matched_rule", "reason", "warnings"}
				for _, m := range ev {
					if got := payload(m)["truncated"]; !reflect.DeepEqual(got, want) {
						t.Errorf("truncated %v, want %v", got, want)
					}
				}
				w := payload(ev[1])["warnings"].([]any)[0].(string)
				if len(w) != 4096 || !utf8.ValidString(w) {
					t.Errorf("warning of %d bytes", len(w))
				}
			}},
		{"an input that fits is there", func(r *pdp.Record) { r.Flags |= pdp.FlagInput; r.Input = []byte(`{"a":[1.0,"x"]}`) },
			"policy.evaluated", func(t *testing.T, ev []map[string]any) {
				if got := payload(ev[0])["input"]; !reflect.DeepEqual(got, map[string]any{"a": []any{json.Number("1.0"), "x"}}) {
					t.Errorf("input %v", got)
				}
			}},
		{"an input that does not fit is left out and named",
			func(r *pdp.Record) {
				r.Flags |= pdp.FlagInput | pdp.FlagAudit
				r.Resource = strings.Repeat("\x01", pdp.MaxResource)
				r.Input = []byte(`"` + strings.Repeat("x", pdp.MaxInput-2) + `"`)
			},
			"policy.evaluated policy.audit_required", func(t *testing.T, ev []map[string]any) {
				for _, m := range ev {
					if _, there := payload(m)["input"]; there || !reflect.DeepEqual(payload(m)["truncated"], []any{"input"}) {
						t.Errorf("truncated %v", payload(m)["truncated"])
					}
				}
			}},
		{"rows that are not on record are said to be missing", func(r *pdp.Record) { r.Seq = 99 }, "policy.evaluated",
			func(t *testing.T, ev []map[string]any) {
				if r := payload(ev[0])["result"].(map[string]any)["reason"].(string); !strings.Contains(r, "no longer on record") {
					t.Errorf("reason %q", r)
				}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := base(s)
			c.edit(&r)
			ev := decode(t, emitter.NewEncoder(revs.RowsForTest, nil), &r)
			var types []string
			for _, m := range ev {
				types = append(types, m["type"].(string))
			}
			if got := strings.Join(types, " "); got != c.types {
				t.Fatalf("types %q, want %q", got, c.types)
			}
			c.check(t, ev)
		})
	}
}

// With every text at its bound and every byte escaped six-fold, nothing is longer than an event may be.
func TestLargestDecision(t *testing.T) {
	e := emitter.NewEncoder(func(uint32) *emitter.Rows { return nil }, nil)
	worst := func(n int) string { return strings.Repeat("\x01", n) }
	for _, surface := range []pdp.Surface{pdp.SurfaceNative, pdp.SurfaceOPA} {
		req := &pdp.Request{Surface: surface, SubjectType: worst(999), SubjectID: worst(999), Role: worst(999), HasRole: true,
			Action: worst(9999), Resource: worst(9999), HasResource: surface == pdp.SurfaceNative, Correlation: worst(999)}
		d := &pdp.Decision{Allowed: true, Effect: pdp.Warn, Audit: true, Matched: true, Row: -1, Policy: worst(999), Rule: worst(999),
			Reason: worst(9999), Warnings: []string{worst(9999)}, WarnRows: []int32{-1}}
		var r pdp.Record
		r.Fill(&pdp.Snapshot{Revision: "sha256:" + strings.Repeat("0", 64)}, req, d)
		r.Time = math.MaxInt64
		r.Flags |= pdp.FlagInput
		r.Input = []byte(`"` + strings.Repeat("x", pdp.MaxInput-2) + `"`)
		if ev := decode(t, e, &r); len(ev) != 3 {
			t.Errorf("%d events, want 3", len(ev))
		}
	}
}

func TestIDsDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, instance := range []string{"a", "b"} {
		for epoch := range uint64(3) {
			for pos := uint64(0); pos < 64*200; pos += 64 {
				for n := range 8 {
					id, what := emitter.IDForTest(instance, epoch, pos, n), fmt.Sprint(instance, epoch, pos, n)
					if other, twice := seen[id]; twice {
						t.Fatalf("%s and %s have id %s", other, what, id)
					}
					seen[id] = what
				}
			}
		}
	}
	if len(seen) != 2*3*200*8 {
		t.Fatal(len(seen))
	}
}

func TestEncoderDoesNotAllocate(t *testing.T) {
	s, revs := persisted(t)
	mask, err := emitter.NewMask([]string{"agent_id=hash", "agent_role", "input.context"}, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*emitter.Mask{"without masks": nil, "with masks": mask} {
		t.Run(name, func(t *testing.T) {
			e := emitter.NewEncoder(revs.RowsForTest, m)
			r := base(s)
			r.Row, r.Effect, r.Flags = 1, pdp.Deny, r.Flags&^pdp.FlagAllowed|pdp.FlagAudit|pdp.FlagInput
			r.Input = []byte(`{"subject":{"id":"ops_agent"},"context":{"a":"ops_agent"},"action":{"properties":{"x":["ops_agent"]}}}`)
			o := emitter.NewOrigin("host", 1)
			var buf []byte
			for range 3 {
				buf, _ = e.Decision(buf[:0], &r, o, 64)
			}
			if n := testing.AllocsPerRun(200, func() { buf, _ = e.Decision(buf[:0], &r, o, 64) }); n != 0 {
				t.Errorf("%v allocations a record", n)
			}
		})
	}
}

// FuzzDecision compares what is encoded with what encoding/json reads, field by field.
func FuzzDecision(f *testing.F) {
	f.Add("agent", "ops", "op", "deploy", "res", "req", "pol", "rule", "because", "careful", int64(1735424567890123456), int64(900), uint16(3), byte(1))
	f.Add("\xff", "\u2028\"\\", "\x00", "é\xf0\x9f", "", "", "", "", "", "", int64(-5), int64(-1), uint16(0xffff), byte(9))
	f.Fuzz(func(t *testing.T, st, id, role, action, res, corr, pol, rule, reason, warn string, ns, eval int64, flags uint16, effect byte) {
		r := pdp.Record{Time: ns, Eval: eval, Row: -1, Flags: pdp.Flags(flags) &^ pdp.FlagInput, Effect: pdp.Effect(effect % 5),
			SubjectType: st, SubjectID: id, Role: role, Action: action, Resource: res, Correlation: corr, Policy: pol, Rule: rule,
			Reason: reason, Warnings: []pdp.Warning{{Row: -1, Text: warn}}}
		e := emitter.NewEncoder(func(uint32) *emitter.Rows { return nil }, nil)
		if len(st)+len(id)+len(role)+len(action)+len(res)+len(corr)+len(pol)+len(rule)+len(reason)+len(warn) > 8<<10 {
			return // longer than a record is
		}
		raw := pdp.AppendRecord(nil, &r)
		var back pdp.Record
		if err := pdp.ParseRecord(raw, &back); err != nil {
			t.Fatal(err)
		}
		valid := func(s string) string { return string([]rune(s)) }
		for _, m := range decode(t, e, &back) {
			p := m["payload"].(map[string]any)
			for field, want := range map[string]string{"agent_id": id, "subject_type": st, "action": action} {
				if p[field] != valid(want) {
					t.Errorf("%s %s: %q, want %q", m["type"], field, p[field], valid(want))
				}
			}
			if ws, ok := p["warnings"].([]any); ok && (len(ws) != 1 || ws[0] != valid(warn)) {
				t.Errorf("warnings %q, want %q", ws, valid(warn))
			}
			ts, err := m["timestamp"].(json.Number).Float64()
			if want := float64(max(ns, 0)) / 1e9; err != nil || math.Abs(ts-want) > 2e-6*max(1, want/1e9) {
				t.Errorf("timestamp %v, want %v", m["timestamp"], want)
			}
			if strings.ContainsAny(m["timestamp"].(json.Number).String(), "eE") {
				t.Errorf("timestamp with an exponent: %v", m["timestamp"])
			}
		}
	})
}
