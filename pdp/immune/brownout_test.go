package immune_test

import (
	"fmt"
	"testing"
	"time"

	"thymus/pdp/immune"
)

func TestBrownOutHasHysteresis(t *testing.T) {
	type step struct {
		after   time.Duration
		percent float64
		level   int
	}
	const calm = 5 * time.Second
	for _, c := range []struct {
		name  string
		most  int
		steps []step
	}{
		{"up in one go and down one by one", immune.NoAllows, []step{{0, 10, 0}, {0, 49.9, 0}, {0, 50, 1}, {0, 64, 1}, {0, 70, 2},
			{time.Second, 24, 2}, {calm, 24, 1}, {calm - 1, 24, 1}, {1, 24, 0}, {calm, 24, 0}}},
		{"straight to the top", immune.NoAllows, []step{{0, 90, 2}}},
		{"the calm begins anew with every rise", immune.NoAllows, []step{{0, 70, 2}, {0, 20, 2}, {calm - 1, 30, 2}, {0, 20, 2}, {calm - 1, 20, 2}, {1, 20, 1}}},
		{"between leaving and entering nothing moves", immune.NoAllows, []step{{0, 55, 1}, {time.Hour, 40, 1}, {time.Hour, 60, 1}}},
		{"up again on the way down", immune.NoAllows, []step{{0, 70, 2}, {0, 20, 2}, {calm, 20, 1}, {0, 66, 2}}},
		{"strict keeps records", immune.NoCostly, []step{{0, 99, 1}, {time.Hour, 99, 1}}},
		{"switched off", immune.AllOn, []step{{0, 99, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, act := range []bool{true, false} {
				var applied []int
				b := immune.NewBrownOut(immune.BrownOutOptions{Enter: [3]float64{0, 50, 65}, Leave: 25, Calm: calm, Act: act, Most: c.most,
					Apply: func(level int) { applied = append(applied, level) }})
				now, last, changes := time.Unix(1735424567, 0), 0, 0
				for i, s := range c.steps {
					now = now.Add(s.after)
					rep, changed := b.Look(s.percent, now)
					if b.Level() != s.level || changed != (s.level != last) {
						t.Fatalf("step %d: level %d, changed %v, want %d", i, b.Level(), changed, s.level)
					}
					if b.Active() != (act && s.level > 0) {
						t.Errorf("step %d: active %v", i, b.Active())
					}
					if changed {
						changes++
						if (rep.Action == immune.ActBrownOut) != act || rep.Type != immune.ResourceExhaustion ||
							(rep.Severity == immune.Info) != (s.level < last) {
							t.Errorf("step %d: %+v", i, rep)
						}
						if act && applied[len(applied)-1] != s.level {
							t.Errorf("step %d: applied %v", i, applied)
						}
					}
					last = s.level
				}
				if !act && applied != nil {
					t.Errorf("observe applied %v", applied)
				}
				if act && len(applied) != changes {
					t.Errorf("applied %v in %d changes", applied, changes)
				}
				if a, ok := b.Action(); ok != (act && last > 0) || ok && a.Subject != fmt.Sprint("level ", last) {
					t.Errorf("action %+v, %v", a, ok)
				}
			}
		})
	}
}
