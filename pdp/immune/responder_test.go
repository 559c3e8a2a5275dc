package immune_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"thymus/pdp/immune"
)

func TestWhatSelfProtectionActsUpon(t *testing.T) {
	exempt := []string{"deployer"}
	for _, c := range []struct {
		name   string
		f      *immune.Finding
		acts   bool
		threat int
	}{
		{"a candidate of the severity", finding("a"), true, 1},
		{"one below the severity", finding("a", func(f *immune.Finding) { f.Threat, f.Rank = "MEDIUM", 1 }), false, 1},
		{"one that the policy may have caused", finding("a", func(f *immune.Finding) { f.Candidate = false }), false, 1},
		{"an address", finding("10.0.0.1", func(f *immune.Finding) { f.Subject.Type = "address" }), false, 1},
		{"one that is exempt", finding("deployer"), false, 1},
		{"nobody", finding(""), false, 1},
		{"another type of subject", finding("a", func(f *immune.Finding) { f.Subject.Type = "jwt" }), true, 1},
		{"one from before its release", finding("freed", func(f *immune.Finding) { f.At = 1 }), false, 1},
		{"an immune event", &immune.Finding{Incident: "e", Severity: immune.Warning, Type: immune.ErrorSpike, Description: "x", At: 1}, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := born(t)
				defer b.close()
				if _, err := b.q.Put(immune.Subject{Type: "agent", ID: "freed"}, "", "operator", 0); err != nil {
					t.Fatal(err)
				}
				if _, err := b.q.Release(immune.Subject{Type: "agent", ID: "freed"}); err != nil {
					t.Fatal(err)
				}
				r, x, stop := b.run(immune.Options{Protect: true, Exempt: exempt})
				r.Offer(c.f)
				synctest.Wait()
				stop()
				if got := b.in(c.f.Subject.Type, c.f.Subject.ID); got != c.acts {
					t.Errorf("quarantined: %v, want %v", got, c.acts)
				}
				if n := x.count(); n != c.threat {
					t.Errorf("%d threats raised, want %d", n, c.threat)
				}
				if c.acts != (r.Acts() == 1) || c.acts != strings.Contains(b.types(), "self_protection_triggered") {
					t.Errorf("%d acts", r.Acts())
				}
			})
		})
	}
}

func TestOneIncidentIsActedUponOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer func() { b.close() }()
		r, _, stop := b.run(immune.Options{Protect: true})
		for range 3 {
			r.Offer(finding("a"))
			synctest.Wait()
		}
		if n := strings.Count(b.types(), "self_protection_triggered"); n != 1 {
			t.Errorf("%d acts of one incident", n)
		}
		stop()
		b.again() // the journal's end is looked at again
		r, _, stop = b.run(immune.Options{Protect: true})
		r.Offer(finding("a"))
		synctest.Wait()
		time.Sleep(16 * time.Minute) // it is over
		synctest.Wait()
		if b.in("agent", "a") {
			t.Error("it does not end")
		}
		r.Offer(finding("a"))
		synctest.Wait()
		stop()
		if b.in("agent", "a") || strings.Contains(b.types(), "self_protection") {
			t.Error("the same incident is acted upon again")
		}
	})
}

func TestQuarantinesGetLongerAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer b.close()
		r, _, stop := b.run(immune.Options{Protect: true})
		defer stop()
		for i, want := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, time.Hour} {
			r.Offer(finding("a", func(f *immune.Finding) { f.Incident = fmt.Sprint("i", i) }))
			synctest.Wait()
			time.Sleep(want - time.Second)
			synctest.Wait()
			if !b.in("agent", "a") {
				t.Fatalf("quarantine %d ended before %s", i, want)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if b.in("agent", "a") {
				t.Fatalf("quarantine %d lasts longer than %s", i, want)
			}
		}
		if told := b.told(); told != "+a -a +a -a +a -a +a -a" {
			t.Errorf("told %q", told)
		}
	})
}

func TestObserveSaysWhatItWouldDoOnceAnIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer func() { b.close() }()
		r, x, stop := b.run(immune.Options{})
		for range 5 {
			r.Offer(finding("a"))
			synctest.Wait()
		}
		stop()
		b.again()
		r, _, stop = b.run(immune.Options{})
		r.Offer(finding("a"))
		synctest.Wait()
		stop()
		if n := b.messages("would quarantine the subject for 15m0s"); n != 1 {
			t.Errorf("it was said %d times", n)
		}
		if b.in("agent", "a") || strings.Contains(b.types(), "self_protection") {
			t.Error("it acted")
		}
		if x.count() != 5 {
			t.Errorf("%d threats raised", x.count())
		}
	})
}

func TestNeverMoreThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer b.close()
		if _, err := b.q.Put(immune.Subject{Type: "agent", ID: "byhand"}, "", "operator", 0); err != nil {
			t.Fatal(err)
		}
		r, _, stop := b.run(immune.Options{Protect: true, Limit: func() int { return 2 }})
		defer stop()
		for i := range 10 {
			r.Offer(finding(fmt.Sprint("a", i)))
		}
		synctest.Wait()
		if n := b.q.Count(); n != 3 {
			t.Errorf("%d quarantined, want two and the operator's", n)
		}
		if n := b.messages("the subject is not quarantined"); n != 1 {
			t.Errorf("it was said %d times in a minute", n)
		}
		if r.Acts() != 2 || r.Withheld() != 8 {
			t.Errorf("%d acts, %d withheld", r.Acts(), r.Withheld())
		}
	})
}

func TestWhatThePolicyCausedIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer b.close()
		if _, err := b.q.Put(immune.Subject{Type: "agent", ID: "byhand"}, "", "operator", 0); err != nil {
			t.Fatal(err)
		}
		r, _, stop := b.run(immune.Options{Protect: true})
		defer stop()
		for _, id := range []string{"a", "b", "byhand"} {
			r.Offer(finding(id))
			r.Offer(finding(id, func(f *immune.Finding) {
				f.Withdrawn, f.Candidate, f.Description = true, false, "the policy is suspect, not the subject"
				if id == "b" {
					f.Incident = "another"
				}
			}))
		}
		synctest.Wait()
		if b.in("agent", "a") || !b.in("agent", "b") || !b.in("agent", "byhand") {
			t.Errorf("a %v, b %v, byhand %v", b.in("agent", "a"), b.in("agent", "b"), b.in("agent", "byhand"))
		}
		if b.messages("released the subject: the policy is suspect") != 1 {
			t.Error("its release was not said")
		}
	})
}

// A store that is away holds up neither quarantine nor what comes later, and gets everything once it is back.
func TestAStoreThatIsAwayGetsItLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer b.close()
		var said []string
		r, x, stop := b.run(immune.Options{Protect: true, Failed: func(what string, _ error) { said = append(said, what) }})
		x.set(errors.New("away"))
		for i := range 50 {
			r.Offer(finding(fmt.Sprint("a", i%10), func(f *immune.Finding) { f.Count = uint64(i) }))
			synctest.Wait()
		}
		if b.q.Count() != 10 {
			t.Errorf("%d quarantined", b.q.Count())
		}
		time.Sleep(30 * time.Second)
		x.set(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		stop()
		if x.count() != 10 {
			t.Errorf("%d threats came later, want one an incident", x.count())
		}
		if len(said) != 1 {
			t.Errorf("it was said %d times in a minute", len(said))
		}
		for _, f := range x.found {
			if f.Count < 40 {
				t.Errorf("%s came with the count %d, which is an old one", f.Incident, f.Count)
			}
		}
	})
}

func TestAFullRingHoldsQuarantineUpNoLongerThanItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer b.close()
		r, _, stop := b.run(immune.Options{Protect: true})
		defer stop()
		b.setFull(true)
		r.Offer(finding("a"))
		synctest.Wait()
		if b.in("agent", "a") {
			t.Error("it is in force and not stored")
		}
		b.setFull(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if !b.in("agent", "a") {
			t.Error("it was forgotten")
		}
	})
}

func TestAnIncidentOfTheSidecarIsOneImmuneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer func() { b.close() }()
		r, _, stop := b.run(immune.Options{})
		spike := func(s immune.Severity, ended bool) {
			r.Offer(&immune.Finding{Incident: "error_spike-1", At: 1, Detector: "error_spike", Description: "evaluations fail",
				Severity: s, Type: immune.ErrorSpike, Ended: ended})
			synctest.Wait()
		}
		for _, step := range []struct {
			severity immune.Severity
			ended    bool
			events   string
		}{
			{immune.Warning, false, "event_published"},
			{immune.Warning, false, ""},
			{immune.Critical, false, "severity_changed critical_event"},
			{immune.Warning, false, ""},
			{immune.Info, true, "event_published"},
			{immune.Info, true, ""},
		} {
			if spike(step.severity, step.ended); b.types() != step.events {
				t.Errorf("%s, ended %v: not %q", step.severity, step.ended, step.events)
			}
		}
		stop()
		b.again()
		r, _, stop = b.run(immune.Options{})
		spike(immune.Warning, false)
		spike(immune.Info, true)
		stop()
		if e := b.types(); e != "" {
			t.Errorf("after a restart it was told again: %s", e)
		}
		if h := b.log.Health(60); h.CriticalIssues != 1 || h.ActiveIssues != 1 || len(h.LastEvents) != 2 {
			t.Errorf("%+v", h)
		}
	})
}

// What needs an act goes before what only needs a threat.
func TestQuarantineGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer b.close()
		x := &threats{}
		o := immune.Options{Protect: true, ProtectAt: 2, Log: b.log, Quarantine: b.q, Threats: x, Limit: func() int { return 9 },
			TTL: time.Minute, MaxTTL: time.Hour}
		r := immune.NewResponder(o)
		for i := range 40_000 { // more than may wait
			r.Offer(finding(fmt.Sprint("low", i), func(f *immune.Finding) { f.Threat, f.Rank = "LOW", 0 }))
		}
		r.Offer(finding("bad"))
		if r.Lost() != 40_000-1<<15 {
			t.Errorf("%d lost", r.Lost())
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		synctest.Wait()
		cancel()
		<-done
		if !b.in("agent", "bad") || x.found[0].Incident != "probing-bad" {
			t.Errorf("the first was %s", x.found[0].Incident)
		}
		if x.count() != 1+1<<15 {
			t.Errorf("%d threats", x.count())
		}
	})
}
