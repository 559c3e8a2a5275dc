package immune_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"thymus/pdp"
	"thymus/pdp/immune"
)

func agent(id string) immune.Subject { return immune.Subject{Type: "agent", ID: id} }

func TestQuarantineIsByTypeAndId(t *testing.T) {
	b := born(t)
	defer func() { b.close() }()
	if _, err := b.q.Put(agent("a"), "why", "operator", 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if reason, yes := b.q.Quarantined("agent", "a"); !yes || reason != "why" {
			t.Errorf("%q %v", reason, yes)
		}
		for _, s := range [][2]string{{"jwt", "a"}, {"agent", "b"}, {"", "a"}, {"agent", ""}, {"agent\x00a", ""}} {
			if b.in(s[0], s[1]) {
				t.Errorf("%q is quarantined", s)
			}
		}
		b.again()
	}
	if yes, err := b.q.Release(agent("a")); !yes || err != nil || b.in("agent", "a") {
		t.Errorf("%v %v", yes, err)
	}
	if yes, err := b.q.Release(agent("a")); yes || err != nil {
		t.Errorf("released twice: %v %v", yes, err)
	}
	if b.again(); b.in("agent", "a") || b.q.Released(agent("a")) == 0 || b.q.Released(agent("b")) != 0 {
		t.Error("the release is not remembered")
	}
}

func TestQuarantineEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer func() { b.close() }()
		for i := range 3 {
			if _, err := b.q.Put(agent(fmt.Sprint("a", i)), "", "operator", time.Duration(i+1)*time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		b.told()
		for i, told := range []string{"-a0", "-a1", "-a2"} {
			time.Sleep(time.Minute + time.Millisecond)
			synctest.Wait()
			if n := b.q.Count(); n != 2-i || b.told() != told {
				t.Fatalf("after %d minutes %d are quarantined", i+1, n)
			}
		}
		if _, err := b.q.Put(agent("b"), "", "operator", time.Minute); err != nil {
			t.Fatal(err)
		}
		b.close()
		time.Sleep(2 * time.Minute) // it ends while nobody is there
		b.open()
		if b.in("agent", "b") {
			t.Error("it did not end")
		}
	})
}

func TestAQuarantineThatCannotBeStoredIsNone(t *testing.T) {
	b := born(t)
	defer b.close()
	b.setFull(true)
	if _, err := b.q.Put(agent("a"), "", "operator", 0); !errors.Is(err, pdp.ErrNoRoom) || b.in("agent", "a") {
		t.Errorf("%v, in force: %v", err, b.in("agent", "a"))
	}
	b.setFull(false)
	if _, err := b.q.Put(agent("a"), "", "operator", 0); err != nil {
		t.Fatal(err)
	}
	b.setFull(true)
	if _, err := b.q.Release(agent("a")); !errors.Is(err, pdp.ErrNoRoom) || !b.in("agent", "a") {
		t.Errorf("%v, in force: %v", err, b.in("agent", "a"))
	}
}

func TestStrikesAreForgottenAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer func() { b.close() }()
		put := func() {
			if _, err := b.q.Put(agent("a"), "", "probing", time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		put()
		time.Sleep(2 * time.Minute)
		if put(); b.q.Strikes(agent("a")) != 2 {
			t.Errorf("%d strikes", b.q.Strikes(agent("a")))
		}
		b.again()
		if n := b.q.Strikes(agent("a")); n != 2 {
			t.Errorf("%d strikes after a restart", n)
		}
		time.Sleep(26 * time.Hour)
		synctest.Wait()
		if n := b.q.Strikes(agent("a")); n != 0 {
			t.Errorf("%d strikes after a day", n)
		}
	})
}

// Decisions read while subjects come and go; under the race detector that says that the snapshot is one.
func TestDecisionsReadWhileItChanges(t *testing.T) {
	b := born(t)
	defer b.close()
	if _, err := b.q.Put(agent("always"), "", "operator", 0); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !b.in("agent", "always") || b.in("agent", "never") {
					t.Error("a subject changed that nobody touched")
					return
				}
			}
		})
	}
	for i := range 50 {
		if _, err := b.q.Put(agent(fmt.Sprint("a", i%5)), "", "operator", time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, err := b.q.Release(agent(fmt.Sprint("a", (i+3)%5))); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestAskingAllocatesNothing(t *testing.T) {
	b := born(t)
	defer b.close()
	for i := range 100 {
		if _, err := b.q.Put(agent(fmt.Sprint("a", i)), "", "operator", 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { b.in("agent", "a7"); b.in("agent", "z") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a subject did before its quarantine ended by itself is as little held against it as what it did before a release,
// also once it is quarantined again, and after a restart.
func TestAnEndIsRememberedAsAReleaseIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := born(t)
		defer func() { b.close() }()
		put := func() time.Time {
			t.Helper()
			if _, err := b.q.Put(agent("a"), "", "probing", time.Minute); err != nil {
				t.Fatal(err)
			}
			return time.Now().Add(time.Minute)
		}
		for range 2 {
			end := put()
			if at := b.q.Released(agent("a")); at >= time.Now().UnixNano() {
				t.Fatal("released while it is quarantined")
			}
			time.Sleep(2 * time.Minute)
			for range 2 {
				if at := b.q.Released(agent("a")); at != end.UnixNano() {
					t.Errorf("released at %s, want %s", time.Unix(0, at), end)
				}
				b.again()
			}
			put()
			for range 2 {
				if at := b.q.Released(agent("a")); at != end.UnixNano() {
					t.Errorf("quarantined again, released at %s, want %s", time.Unix(0, at), end)
				}
				b.again()
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

// Whatever callers put into types and ids: no two subjects are one in the store, none hides another, and each can be
// released alone.
func TestNoTwoSubjectsShareAQuarantine(t *testing.T) {
	all := []immune.Subject{
		{Type: "a", ID: "b\x00c"}, {Type: "a\x00b", ID: "c"}, {Type: "a\x00b\x00c", ID: ""}, {Type: "", ID: "a\x00b\x00c"}, {Type: "\x00", ID: ""},
		{Type: "", ID: "\x00"}, {Type: "\x00\x00", ID: ""}, {Type: "3:a\x00b", ID: "c"}, {Type: "a\x00", ID: "bc"}, {Type: "a\x00b", ID: ":c"}, agent("a"),
	}
	b := born(t)
	defer func() { b.close() }()
	for _, s := range all {
		if _, err := b.q.Put(s, "", "probing", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	b.again()
	for i, s := range all {
		if !b.in(s.Type, s.ID) {
			t.Errorf("%q is forgotten", s)
		}
		if done, err := b.q.Release(s); !done || err != nil {
			t.Errorf("%q is not released: %v", s, err)
		}
		b.again()
		if b.q.Released(s) == 0 {
			t.Errorf("the release of %q is forgotten", s)
		}
		if n := b.q.Count(); n != len(all)-1-i {
			t.Errorf("%d are left behind the release of %q", n, s)
		}
	}
}
