package detect_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"thymus/emitter"
	"thymus/pdp"
	"thymus/pdp/detect"
)

func line(r *pdp.Record) []byte {
	enc := emitter.NewEncoder(func(uint32) *emitter.Rows { return nil }, nil)
	lines, _ := enc.Decision(nil, r, emitter.NewOrigin("test", 1), 8)
	first, _, _ := bytes.Cut(lines, []byte("\n"))
	return first
}

func TestAnEventIsReadBackIntoItsRecord(t *testing.T) {
	base := pdp.Record{
		Time: noon.UnixNano() + 123_456_000, Eval: 12_345, Row: -1, Revision: "abc", Surface: pdp.SurfaceGRPC, Effect: pdp.Allow,
		Flags: pdp.FlagAllowed, SubjectType: "agent", SubjectID: "ä\"1", Action: "read", Reason: "fine", ID: pdp.NewID(noon.UnixMilli(), 1, 2),
	}
	for name, f := range map[string]change{
		"as it is":          func(*pdp.Record) {},
		"denied":            denied,
		"warned":            func(r *pdp.Record) { r.Effect = pdp.Warn },
		"with a role":       as(""),
		"with a resource":   on("x\ny"),
		"neither yes or no": func(r *pdp.Record) { r.Effect, r.Flags = pdp.None, 0 },
		"by a rule":         func(r *pdp.Record) { r.Policy, r.Rule, r.Flags = "p", "r", r.Flags|pdp.FlagMatched },
		"quarantined": func(r *pdp.Record) {
			denied(r)
			r.Policy, r.Rule, r.Flags = "immune", "quarantine", r.Flags|pdp.FlagMatched|pdp.FlagQuarantined
		},
		"past the deadline": func(r *pdp.Record) {
			failed(pdp.FaultDeadline)(r)
			r.Reason = "Evaluation error - denied: the deadline passed"
		},
		"failed": func(r *pdp.Record) {
			failed(pdp.FaultInternal)(r)
			r.Reason = "Evaluation error - denied: two values"
		},
		"refused as ambiguous": func(r *pdp.Record) {
			failed(pdp.FaultInternal)(r)
			r.Flags |= pdp.FlagPathDiffers
			r.Reason = "Evaluation error - denied: the path is ambiguous"
		},
		"a rule that speaks of ambiguity": func(r *pdp.Record) {
			denied(r)
			r.Policy, r.Rule, r.Flags = "p", "r", r.Flags|pdp.FlagMatched
			r.Reason = "Evaluation error - denied: the path is ambiguous"
		},
		"a rule that speaks like a failure": func(r *pdp.Record) {
			denied(r)
			r.Policy, r.Rule, r.Flags = "p", "r", r.Flags|pdp.FlagMatched
			r.Reason = "Evaluation error - denied: the deadline passed"
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := base
			f(&want)
			var got pdp.Record
			if ok, err := detect.ReadEvaluated(line(&want), &got); !ok || err != nil {
				t.Fatal(ok, err)
			}
			g, _ := json.Marshal(got)
			w, _ := json.Marshal(want)
			if got.Warnings = nil; !bytes.Equal(bytes.Replace(g, []byte(`"Warnings":[]`), []byte(`"Warnings":null`), 1), w) {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
		})
	}
}

func TestWhatIsNoDecisionIsToldApart(t *testing.T) {
	for text, bad := range map[string]bool{
		`{"id":"evt_policy_1_0","type":"policy.denied","payload":{}}`:                                                                false,
		`{"type":"threat.detected"}`:                                                                                                 false,
		`{"payload":{"evaluated_at":1.5},"type":"policy.evaluated"}`:                                                                 false,
		`{"id":"evt_policy_1_0","type":"policy.evaluated","payload":{}}`:                                                             true,
		`{"id":"evt_policy_1_0","type":"policy.evaluated","payload":{"evaluated_at":1e300}}`:                                         true,
		`{"id":"evt_policy_1_0","type":"policy.evaluated","payload":{"evaluated_at":99999999999999999999}}`:                          true,
		`{"id":"evt_policy_1_0","type":"policy.evaluated","payload":{"evaluated_at":1,"agent_id":7}}`:                                true,
		`{"id":"evt_policy_1_0","type":"policy.evaluated","payload":{"evaluated_at":1,"decision_id":"x","evaluation_time_ms":null}}`: false,
		`nothing`: true,
		``:        true,
	} {
		var r pdp.Record
		if _, err := detect.ReadEvaluated([]byte(text), &r); (err != nil) != bad {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

// TestBothWaysOfReadingAgree: a line with a space in it is read the slow way.
func TestBothWaysOfReadingAgree(t *testing.T) {
	recs := wild(9, 2000)
	for i := range recs {
		l := line(&recs[i])
		var fast, slow pdp.Record
		if ok, err := detect.ReadEvaluated(l, &fast); !ok || err != nil {
			t.Fatalf("%v %v: %s", ok, err, l)
		}
		if ok, err := detect.ReadEvaluated(bytes.Replace(l, []byte("{"), []byte("{ "), 1), &slow); !ok || err != nil {
			t.Fatalf("%v %v: %s", ok, err, l)
		}
		f, _ := json.Marshal(fast)
		s, _ := json.Marshal(slow)
		if !bytes.Equal(f, s) {
			t.Fatalf("read as\n%s\nand\n%s", f, s)
		}
	}
	l := line(&recs[0])
	var r pdp.Record
	if n := testing.AllocsPerRun(100, func() { detect.ReadEvaluated(l, &r) }); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
	for i := range l {
		if ok, err := detect.ReadEvaluated(l[:i], &r); ok || err == nil {
			t.Fatalf("a line cut after %d bytes is read", i)
		}
	}
}

func FuzzReadEvaluated(f *testing.F) {
	f.Add(line(&pdp.Record{Time: noon.UnixNano(), Row: -1, Effect: pdp.Deny, SubjectID: "a", Revision: "r"}))
	f.Add([]byte(`{"type":"policy.evaluated","payload":{"evaluated_at":1.5e9,"result":{"allowed":null}}}`))
	w, err := detect.New(detect.Options{Config: detect.Default()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r pdp.Record
		ok, err := detect.ReadEvaluated(b, &r)
		if ok && err != nil {
			t.Fatal("a record and an error")
		}
		if !ok {
			return
		}
		var slow pdp.Record
		if again, err := detect.ReadEvaluated(bytes.Replace(b, []byte("{"), []byte("{ "), 1), &slow); again {
			f, _ := json.Marshal(r)
			s, _ := json.Marshal(slow)
			if !bytes.Equal(f, s) {
				t.Fatalf("read as\n%s\nand\n%s", f, s)
			}
		} else if err != nil {
			t.Fatalf("read one way only: %v", err)
		}
		w.Observe(&r, func(f *detect.Finding) {
			if !json.Valid(f.Metadata) || f.Incident == "" || len(f.Incident) > 64 {
				t.Fatalf("metadata %s of %q", f.Metadata, f.Incident)
			}
		})
	})
}

// What a line of the journal costs to read: the pace of `thymus detect`.
func BenchmarkReadEvaluated(b *testing.B) {
	l := line(&pdp.Record{
		Time: noon.UnixNano(), Eval: 5000, Row: -1, Effect: pdp.Allow, Flags: pdp.FlagAllowed | pdp.FlagRole | pdp.FlagResource,
		SubjectType: "agent", SubjectID: "ops_agent", Role: "operator", Action: "deploy_application", Resource: "production_cluster",
		Revision: strings.Repeat("a", 64), Reason: "No matching rules - applied default effect: deny",
	})
	b.SetBytes(int64(len(l)))
	b.ReportAllocs()
	var r pdp.Record
	for range b.N {
		if ok, err := detect.ReadEvaluated(l, &r); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func TestMetadataFitsAThreat(t *testing.T) {
	b := newBox(t, only(detect.RepeatedDenials))
	long := strings.Repeat("\x01", 4096)
	for range 10 {
		b.call(long[:256], denied, on(long), doing(long), as(long[:256]), func(r *pdp.Record) { r.SubjectType = long[:256] })
	}
	m := b.found[0].Metadata
	if len(m) > 16<<10 || !json.Valid(m) || bytes.Contains(m, []byte(`"resource"`)) {
		t.Errorf("metadata of %d bytes", len(m))
	}
	b.wait(time.Second)
}
