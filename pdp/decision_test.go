package pdp_test

import (
	"math/rand/v2"
	"regexp"
	"testing"
	"time"

	"thymus/pdp"
)

func TestDecisionIDsAreVersion7UUIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen, last := map[string]bool{}, ""
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for i := range int64(2000) {
		ms := start + i*977
		d := pdp.Decision{ID: pdp.NewID(ms, rand.Uint64(), rand.Uint64())}
		s := string(d.AppendID(nil))
		if !form.MatchString(s) || seen[s] || s <= last {
			t.Fatalf("%s after %s", s, last)
		}
		seen[s], last = true, s
		got := int64(0)
		for _, b := range d.ID[:6] {
			got = got<<8 | int64(b)
		}
		if got != ms {
			t.Fatalf("%s holds %d, want %d", s, got, ms)
		}
	}
}

func TestDecisionIDsKeepAllRandomBits(t *testing.T) {
	var ones, zeros [16]byte
	ones, zeros = pdp.NewID(0, ^uint64(0), ^uint64(0)), pdp.NewID(0, 0, 0)
	if got := string(pdp.AppendUUID(nil, ones)); got != "00000000-0000-7fff-bfff-ffffffffffff" {
		t.Errorf("got %s", got)
	}
	if got := string(pdp.AppendUUID(nil, zeros)); got != "00000000-0000-7000-8000-000000000000" {
		t.Errorf("got %s", got)
	}
}

func TestResetLeavesNothingButMemory(t *testing.T) {
	d := pdp.Decision{Allowed: true, Effect: pdp.Warn, Audit: true, Matched: true, Row: 7, Policy: "p", Rule: "r", Reason: "x",
		Warnings: []string{"w"}, WarnRows: []int32{1}, Fault: pdp.FaultShape, Revision: "v", Quarantined: true, ID: [16]byte{1}}
	d.Reset()
	if d.Allowed || d.Effect != pdp.None || d.Audit || d.Matched || d.Row != -1 || d.Policy+d.Rule+d.Reason+d.Revision != "" ||
		len(d.Warnings)+len(d.WarnRows) != 0 || d.Fault != pdp.NoFault || d.Quarantined || d.ID != [16]byte{} {
		t.Errorf("got %+v", d)
	}
	if cap(d.Warnings) == 0 {
		t.Error("the memory is gone")
	}
}

func TestEffectsAndTheirNames(t *testing.T) {
	for e, name := range map[pdp.Effect]string{pdp.None: "", pdp.Allow: "allow", pdp.Deny: "deny", pdp.Warn: "warn", pdp.Audit: "audit", 9: ""} {
		if e.String() != name {
			t.Errorf("%d is called %q", e, e)
		}
		if e.Permits() != (name == "allow" || name == "warn" || name == "audit") {
			t.Errorf("%q permits: %v", name, e.Permits())
		}
		if got, ok := pdp.ParseEffect(name); ok != (name != "") || ok && got != e {
			t.Errorf("%q is read as %d, %v", name, got, ok)
		}
		want := name
		if want == "" {
			want = "deny" // what cannot be read is kept like a deny
		}
		if e.Class().String() != want {
			t.Errorf("%q is of class %s", name, e.Class())
		}
	}
	for _, s := range []string{"Allow", "allow ", "permit", "null"} {
		if _, ok := pdp.ParseEffect([]byte(s)); ok {
			t.Errorf("%q is no effect", s)
		}
	}
	if !(pdp.None < pdp.Allow && pdp.Allow < pdp.Warn && pdp.Warn < pdp.Audit && pdp.Audit < pdp.Deny) {
		t.Error("the effects are not in the order of strictness")
	}
}
