package pdp_test

import (
	"math/rand/v2"
	"testing"

	"thymus/pdp"
)

// The order of rows is total and of one mind, whatever the rows: or sorting them, and with them the answer, would
// depend on what was loaded first.
func TestOrderOfRowsIsTotal(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var rows []pdp.Rule
	for range 60 {
		text := func() string { return []string{"", "a", "b", "ab", "A"}[rng.IntN(5)] }
		rows = append(rows, pdp.Rule{Policy: text(), ID: text(), Name: text(), Reason: text(), Effect: pdp.Effect(rng.IntN(5)),
			Priority: int64(rng.IntN(3)) - 1, Guardrail: rng.IntN(2) == 0})
	}
	sign := func(n int) int { return min(1, max(-1, n)) }
	for _, a := range rows {
		for _, b := range rows {
			ab, ba := sign(pdp.CompareRules(a, b)), sign(pdp.CompareRules(b, a))
			if ab != -ba || (ab == 0) != (a == b) {
				t.Fatalf("%+v and %+v compare as %d and %d", a, b, ab, ba)
			}
			for _, c := range rows {
				if ab <= 0 && pdp.CompareRules(b, c) <= 0 && pdp.CompareRules(a, c) > 0 {
					t.Fatalf("not transitive: %+v, %+v, %+v", a, b, c)
				}
			}
		}
	}
	pdp.SortRules(rows)
	for i := range rows[1:] {
		if pdp.CompareRules(rows[i], rows[i+1]) > 0 {
			t.Fatalf("rows %d and %d are not in order", i, i+1)
		}
	}
}
