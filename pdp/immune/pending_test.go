package immune_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"thymus/pdp/immune"
)

// absent is a registry that is away until it is told otherwise.
type absent struct {
	back bool
	seen map[string]uint64
}

func (a *absent) Raise(_ context.Context, f *immune.Finding) (string, error) {
	if !a.back {
		return "", errors.New("away")
	}
	a.seen[f.Incident] = f.Count
	return "t", nil
}

// What waits for its store, for its turn, or is being handled is handed on to the next life, each incident with the newest
// that is known of it.
func TestWhatWaitsIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer b.close()
		x := &absent{seen: map[string]uint64{}}
		o := immune.Options{Protect: true, Threats: x}
		r, _, stop := b.run(o)
		if r.Pending() != nil {
			t.Error("something waits before anything was found")
		}
		for i := range 3 {
			r.Offer(finding("a", func(f *immune.Finding) { f.Incident, f.Count = fmt.Sprint("i", i), 1 }))
		}
		synctest.Wait()
		r.Offer(finding("a", func(f *immune.Finding) { f.Incident, f.Count = "i1", 9 }))
		synctest.Wait()
		kept := r.Pending()
		if string(kept) != string(r.Pending()) {
			t.Error("the same are not the same bytes")
		}
		stop()
		r.Offer(finding("late", func(f *immune.Finding) { f.Incident, f.Count = "i3", 1 })) // by a pump that is not stopped yet
		kept = r.Pending()

		x.back = true
		r, _, stop = b.run(o)
		if n, err := r.Restore(kept, time.Now().Add(-time.Minute)); n != 4 || err != nil {
			t.Errorf("%d restored, %v", n, err)
		}
		synctest.Wait()
		stop()
		if fmt.Sprint(x.seen) != "map[i0:1 i1:9 i2:1 i3:1]" || r.Pending() != nil {
			t.Errorf("raised %v, left %s", x.seen, r.Pending())
		}
		if !b.in("agent", "late") {
			t.Error("who was just found out is not quarantined")
		}
	})
}

func TestWhatWaitedLongIsToldAndNotActedUpon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer b.close()
		x := &absent{seen: map[string]uint64{}}
		first := immune.NewResponder(immune.Options{Log: b.log, Quarantine: b.q, Threats: x, ProtectAt: 2})
		first.Offer(finding("a"))
		kept := first.Pending()
		time.Sleep(time.Hour)
		x.back = true
		r, _, stop := b.run(immune.Options{Protect: true, Threats: x})
		if _, err := r.Restore(kept, time.Now().Add(-time.Minute)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		stop()
		if b.in("agent", "a") || len(x.seen) != 1 {
			t.Errorf("quarantined %v, raised %v", b.in("agent", "a"), x.seen)
		}
	})
}

func TestWhatIsNoPendingIsRefused(t *testing.T) {
	b := born(t)
	defer b.close()
	r := immune.NewResponder(immune.Options{Log: b.log, Quarantine: b.q, Threats: &absent{}})
	for _, bad := range []string{"", "{", `{"version":2,"findings":[]}`, `[]`, `{"version":1,"findings":[{"At":"x"}]}`} {
		if _, err := r.Restore([]byte(bad), time.Time{}); !errors.Is(err, immune.ErrPending) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if r.Pending() != nil {
		t.Error("a part was taken")
	}
}

// While the registry is away a finding is tried again and again, and what it asked for besides is done and counted once.
func TestWhatWaitsForTheRegistryIsActedUponOnce(t *testing.T) {
	for _, c := range []struct {
		name           string
		o              immune.Options
		change         func(*immune.Finding)
		acts, withheld uint64
	}{
		{"an act", immune.Options{Protect: true}, func(*immune.Finding) {}, 1, 0},
		{"one who is exempt", immune.Options{Protect: true, Exempt: []string{"a"}}, func(*immune.Finding) {}, 0, 1},
		{"an address", immune.Options{Protect: true}, func(f *immune.Finding) { f.Subject.Type = "address" }, 0, 1},
		{"beyond the bound", immune.Options{Protect: true, Limit: func() int { return 0 }}, func(*immune.Finding) {}, 0, 1},
		{"observe", immune.Options{}, func(*immune.Finding) {}, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := born(t)
				defer b.close()
				x := &absent{seen: map[string]uint64{}}
				c.o.Threats = x
				r, _, stop := b.run(c.o)
				r.Offer(finding("a", c.change))
				time.Sleep(time.Minute)
				synctest.Wait()
				if r.Acts() != c.acts || r.Withheld() != c.withheld || r.Pending() == nil {
					t.Errorf("%d acts, %d withheld, waits: %s", r.Acts(), r.Withheld(), r.Pending())
				}
				stop()
			})
		})
	}
}
