package immune_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"thymus/pdp"
	"thymus/pdp/immune"
)

// patient drives a healer as policies, pump and detection do.
type patient struct {
	*immune.Healer
	mu     sync.Mutex // the responder goes back while decisions go on
	seq    uint32
	active string
	back   []string
	fail   error
}

func (p *patient) activate(revision string, healed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq++
	p.active = revision
	p.Activated(revision, p.seq, time.Now(), healed)
}

// decide observes n decisions under the active revision, bad of which failed.
func (p *patient) decide(n, bad int, fault pdp.FaultCode) {
	p.mu.Lock()
	seq := p.seq
	p.mu.Unlock()
	for i := range n {
		rec := &pdp.Record{Seq: seq, Time: time.Now().UnixNano()}
		if i < bad {
			rec.Fault = fault
		}
		p.Observe(rec)
	}
}

func newPatient() *patient {
	p := &patient{}
	p.Healer = immune.NewHealer(immune.HealOptions{Back: func(_ context.Context, bad, good, _ string) (string, error) {
		if p.fail != nil {
			return "", p.fail
		}
		p.back = append(p.back, bad+">"+good)
		p.activate(good, true)
		return good, nil
	}})
	return p
}

func TestWhenPoliciesGoBack(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *patient)
		want string
	}{
		{"a change after which much fails", func(p *patient) { p.activate("r2", false); p.decide(100, 50, pdp.FaultConflict) }, "r2>r1"},
		{"the deadline counts as failing", func(p *patient) { p.activate("r2", false); p.decide(100, 50, pdp.FaultDeadline) }, "r2>r1"},
		{"inputs that cannot be read are the caller's", func(p *patient) { p.activate("r2", false); p.decide(100, 50, pdp.FaultInput) }, ""},
		{"a change after which nothing fails", func(p *patient) { p.activate("r2", false); p.decide(1000, 0, pdp.NoFault) }, ""},
		{"too few errors", func(p *patient) { p.activate("r2", false); p.decide(30, 19, pdp.FaultConflict) }, ""},
		{"too small a share", func(p *patient) {
			p.activate("r2", false)
			p.decide(1000, 0, pdp.NoFault)
			p.decide(100, 100, pdp.FaultConflict)
		}, ""},
		{"no worse than before", func(p *patient) {
			p.decide(1000, 300, pdp.FaultConflict)
			p.activate("r2", false)
			p.decide(1000, 400, pdp.FaultConflict)
		}, ""},
		{"long after the change", func(p *patient) {
			p.activate("r2", false)
			time.Sleep(6 * time.Minute)
			p.decide(100, 100, pdp.FaultConflict)
		}, ""},
		{"the first set of all", func(p *patient) { p.decide(100, 100, pdp.FaultConflict) }, ""},
		{"two quick changes", func(p *patient) {
			p.activate("r2", false)
			p.activate("r3", false)
			p.decide(100, 100, pdp.FaultConflict)
		}, "r3>r1"},
		{"not back and forth", func(p *patient) {
			p.activate("r2", false)
			p.decide(100, 100, pdp.FaultConflict)
			synctest.Wait()
			p.decide(100, 100, pdp.FaultConflict)
		}, "r2>r1"},
		{"never to what was bad", func(p *patient) {
			p.fail = errors.New("it cannot be")
			p.activate("r2", false)
			p.decide(100, 100, pdp.FaultConflict)
			synctest.Wait()
			p.fail = nil
			p.activate("r3", false)
			p.decide(100, 100, pdp.FaultConflict)
		}, "r3>r1"},
		{"records of the set before do not count", func(p *patient) {
			old := p.seq
			p.activate("r2", false)
			for range 100 {
				p.Observe(&pdp.Record{Seq: old, Time: time.Now().UnixNano(), Fault: pdp.FaultConflict})
			}
		}, ""},
		{"a set that denies the fleet", func(p *patient) {
			p.activate("r2", false)
			p.decide(100, 0, pdp.NoFault)
			p.Suspect(time.Now().UnixNano(), "the policy is suspect")
		}, "r2>r1"},
		{"a fleet that was denied before the change", func(p *patient) {
			at := time.Now().UnixNano() - 1
			p.activate("r2", false)
			p.Suspect(at, "the policy is suspect")
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := born(t)
				defer b.close()
				p := newPatient()
				_, _, stop := b.run(immune.Options{Protect: true, Healer: p.Healer})
				p.activate("r1", false)
				p.decide(100, 0, pdp.NoFault)
				c.do(p)
				synctest.Wait()
				stop()
				if got := strings.Join(p.back, " "); got != c.want {
					t.Errorf("went back %q, want %q", got, c.want)
				}
				if said := b.messages("returned from policy revision"); said != len(p.back) {
					t.Errorf("it was said %d times", said)
				}
			})
		})
	}
}

func TestHealingSaysWhatItDid(t *testing.T) {
	for _, c := range []struct {
		name, says, events string
		protect            bool
		fail               error
	}{
		{"in protect", "returned from policy revision r2 to r1: 20 of ", "event_published critical_event self_protection_triggered", true, nil},
		{"in observe", "would return from policy revision r2 to r1: 20 of ", "event_published", false, nil},
		{"where it fails", "could not return from policy revision r2 to r1: no way (", "event_published critical_event", true, errors.New("no way")},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := born(t)
				defer b.close()
				p := newPatient()
				p.fail = c.fail
				r, _, stop := b.run(immune.Options{Protect: c.protect, Healer: p.Healer})
				p.activate("r1", false)
				p.activate("r2", false)
				p.decide(100, 100, pdp.FaultConflict)
				synctest.Wait()
				stop()
				if b.messages(c.says) != 1 {
					items, _ := b.log.Recent(60, 0, 10)
					t.Errorf("not said: %+v", items)
				}
				if e := b.types(); e != c.events {
					t.Errorf("events %q, want %q", e, c.events)
				}
				if (p.active == "r1") != (c.protect && c.fail == nil) {
					t.Errorf("%s is active", p.active)
				}
				if n := len(r.Actions()); (n == 1) != (c.protect && c.fail == nil) {
					t.Errorf("%d actions", n)
				}
				if r.Changed(); len(r.Actions()) != 0 {
					t.Error("an operator's change leaves it standing")
				}
			})
		})
	}
}
