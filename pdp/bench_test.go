package pdp_test

import (
	"fmt"
	"testing"

	"thymus/pdp"
)

// What is measured here is compared with:
//
//	go test ./pdp -run '^$' -bench . -benchmem -count 10 > new.txt && benchstat old.txt new.txt

// matching is a situation in which n rules of constant heads match.
func matching(n int) (*pdp.Snapshot, *pdp.Result) {
	var fs []found
	for i := range n {
		fs = append(fs, found{policy: fmt.Sprintf("policy_%d", i%3), id: fmt.Sprintf("rule_%03d", i),
			effect: []pdp.Effect{pdp.Allow, pdp.Warn, pdp.Audit, pdp.Deny}[i%4], priority: int64(i % 5), reason: "because"})
	}
	return situation(fs)
}

func operations() map[string]func() {
	ops := map[string]func(){}
	for _, n := range []int{1, 4, 40} {
		s, r := matching(n)
		var d pdp.Decision
		ops[fmt.Sprintf("Combine%d", n)] = func() {
			d.Reset()
			pdp.Combine(s, asked, r, &d)
		}
	}
	s, r := situation([]found{{policy: "p", id: "r", effect: pdp.Warn, dynamic: true}})
	var d pdp.Decision
	ops["CombineDynamic"] = func() {
		d.Reset()
		pdp.Combine(s, asked, r, &d)
	}
	value := &pdp.Result{Defined: true}
	put(&value.Out, pdp.Span{}, map[string]any{"effect": "warn", "warnings": []any{"w"}})
	var verdict pdp.Decision
	ops["Entrypoint"] = func() {
		verdict.Reset()
		pdp.Entrypoint(s, "app/allow", value, &verdict)
	}
	buf := make([]byte, 0, 1024)
	ops["AppendString"] = func() { buf = pdp.AppendString(buf[:0], "Allowed by rule 'Operators may deploy'") }
	rec := records()[1]
	ops["AppendRecord"] = func() { buf = pdp.AppendRecord(buf[:0], &rec) }
	b := pdp.AppendRecord(nil, &rec)
	var back pdp.Record
	ops["ParseRecord"] = func() { _ = pdp.ParseRecord(b, &back) }
	return ops
}

func TestNothingIsAllocatedAfterWarmUp(t *testing.T) {
	for name, op := range operations() {
		if n := testing.AllocsPerRun(200, op); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// go test ./pdp -run '^$' -bench Vocabulary -benchmem -count 10 | benchstat -
func BenchmarkVocabulary(b *testing.B) {
	ops := operations()
	for _, name := range []string{"Combine1", "Combine4", "Combine40", "CombineDynamic", "Entrypoint", "AppendString",
		"AppendRecord", "ParseRecord"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ops[name]()
			}
		})
	}
}
