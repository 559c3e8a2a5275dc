package pdp_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"thymus/pdp"
)

func records() []pdp.Record {
	return []pdp.Record{
		{Row: -1},
		{Time: 1, Eval: -1, ID: [16]byte{1, 15: 2}, Seq: 7, Row: 3, Flags: pdp.FlagAllowed | pdp.FlagMatched, Cut: pdp.CutRole,
			Surface: pdp.SurfaceHTTP, Effect: pdp.Audit, SubjectType: "agent", SubjectID: "a", Role: "r", Action: "x", Resource: "y",
			Correlation: "c", Warnings: []pdp.Warning{{Row: 4}, {Row: -1, Text: "w"}, {Row: -1}}},
		{Seq: 0, Row: -1, Revision: "rev", Policy: "p", Rule: "q", Reason: strings.Repeat("é", 500), Effect: pdp.Deny,
			Fault: pdp.FaultInternal, Flags: pdp.FlagInput, Input: []byte(`{"a":1}`)},
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	for i, want := range records() {
		b := pdp.AppendRecord([]byte("before"), &want)[len("before"):]
		got := pdp.Record{Warnings: make([]pdp.Warning, 0, 8), Policy: "stale"}
		if err := pdp.ParseRecord(b, &got); err != nil {
			t.Fatal(err)
		}
		if len(want.Warnings) == 0 {
			got.Warnings = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("record %d: got %+v", i, got)
		}
		for n := range b {
			if err := pdp.ParseRecord(b[:n], &got); !errors.Is(err, pdp.ErrRecord) {
				t.Fatalf("record %d cut to %d of %d bytes: %v", i, n, len(b), err)
			}
		}
		if err := pdp.ParseRecord(append(bytes.Clone(b), 0), &got); !errors.Is(err, pdp.ErrRecord) {
			t.Errorf("record %d and a byte: %v", i, err)
		}
	}
}

func TestARecordOfADecisionIsBounded(t *testing.T) {
	long := "x" + strings.Repeat("é", 40_000) // every limit falls inside a character
	s := &pdp.Snapshot{Revision: "rev"}
	req := &pdp.Request{SubjectType: long, SubjectID: long, Role: long, Action: long, Resource: long, Correlation: long, HasResource: true}
	d := &pdp.Decision{Effect: pdp.Deny, Matched: true, Row: -1, Policy: long, Rule: long, Reason: long, Quarantined: true}
	for range 300 {
		d.Warnings, d.WarnRows = append(d.Warnings, long), append(d.WarnRows, -1)
	}
	var r pdp.Record
	r.Fill(s, req, d)
	b := pdp.AppendRecord(nil, &r)
	if len(b) > 24<<10 {
		t.Errorf("%d bytes", len(b))
	}
	var got pdp.Record
	if err := pdp.ParseRecord(b, &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	got.Cut.Each(func(n string) { names = append(names, n) })
	want := "subject_type agent_id agent_role action resource matched_policy matched_rule reason warnings"
	if strings.Join(names, " ") != want {
		t.Errorf("cut are %q", names)
	}
	if !strings.HasPrefix(long, got.SubjectID) || len(got.SubjectID) != pdp.MaxName-1 || len(got.Resource) != pdp.MaxResource-1 {
		t.Errorf("subject of %d bytes, resource of %d", len(got.SubjectID), len(got.Resource))
	}
	if !got.Flags.Has(pdp.FlagMatched|pdp.FlagResource|pdp.FlagQuarantined) || got.Flags.Has(pdp.FlagRole) {
		t.Errorf("flags %b", got.Flags)
	}
}

func TestARecordNamesRowsOnlyWhereTheyAreOnRecord(t *testing.T) {
	d := &pdp.Decision{Row: 2, Policy: "p", Rule: "r", Reason: "x", Warnings: []string{"w"}, WarnRows: []int32{5}}
	for _, c := range []struct {
		seq  uint32
		want pdp.Record
	}{
		{0, pdp.Record{Row: -1, Revision: "rev", Policy: "p", Rule: "r", Reason: "x", Warnings: []pdp.Warning{{Row: -1, Text: "w"}}}},
		{9, pdp.Record{Row: 2, Seq: 9, Warnings: []pdp.Warning{{Row: 5}}}},
	} {
		var r pdp.Record
		r.Fill(&pdp.Snapshot{Revision: "rev", Seq: c.seq}, &pdp.Request{}, d)
		if !reflect.DeepEqual(r, c.want) {
			t.Errorf("seq %d: got %+v", c.seq, r)
		}
	}
}

func TestEventsComeBackAsTheyWere(t *testing.T) {
	want := pdp.Event{Time: 5, Source: pdp.SourceImmune, Type: "t", Key: "k", Correlation: "c", Payload: []byte(`{}`), Owed: 3}
	b := pdp.AppendEvent(nil, &want)
	var got pdp.Event
	if err := pdp.ParseEvent(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for n := range b {
		if err := pdp.ParseEvent(b[:n], &got); !errors.Is(err, pdp.ErrRecord) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(b), err)
		}
	}
}

// Whatever bytes a ring holds, they are refused or mean a record that is written as it was read.
func FuzzParseRecord(f *testing.F) {
	for _, r := range records() {
		f.Add(pdp.AppendRecord(nil, &r))
	}
	f.Add(pdp.AppendEvent(nil, &pdp.Event{Type: "t"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again pdp.Record
		if err := pdp.ParseRecord(b, &r); err == nil {
			c := pdp.AppendRecord(nil, &r)
			if err := pdp.ParseRecord(c, &again); err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("%x: %+v and %+v, %v", b, r, again, err)
			}
		} else if !errors.Is(err, pdp.ErrRecord) {
			t.Fatal(err)
		}
		var e, back pdp.Event
		if err := pdp.ParseEvent(b, &e); err == nil {
			if err := pdp.ParseEvent(pdp.AppendEvent(nil, &e), &back); err != nil || !reflect.DeepEqual(e, back) {
				t.Fatalf("%x: %+v and %+v, %v", b, e, back, err)
			}
		}
	})
}
