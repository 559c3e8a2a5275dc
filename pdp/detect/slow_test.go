package detect_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/detect"
	"thymus/pdp/threat"
)

// slowly lets an agent be denied another thing every so often, with work that is permitted in between.
func (b *box) slowly(agent string, things int, every time.Duration, work int) {
	for n := range things {
		b.call(agent, denied, on(fmt.Sprintf("%s/hidden/%d", agent, n)))
		for range work {
			b.call(agent, on("own"))
		}
		b.wait(every)
	}
}

func TestPatienceIsSeen(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(b *box)
		want string
	}{
		{"a thing every 20 s for an hour", func(b *box) { b.slowly("a", 180, 20*time.Second, 1) }, "slow_probing:opened:MEDIUM"},
		{"a thing every 90 s for three hours", func(b *box) { b.slowly("a", 120, 90*time.Second, 0) }, "slow_probing:opened:MEDIUM"},
		{"actions instead of resources", func(b *box) {
			for n := range 60 {
				b.call("a", denied, doing(fmt.Sprint("try_", n)))
				b.wait(time.Minute)
			}
		}, "slow_probing:opened:MEDIUM"},
		{"it goes on", func(b *box) { b.slowly("a", 600, 20*time.Second, 0) }, "slow_probing:raised:HIGH"},
		{"fewer than the threshold", func(b *box) { b.slowly("a", 29, 20*time.Second, 0) }, ""},
		{"a thing every five minutes", func(b *box) { b.slowly("a", 100, 5*time.Minute, 0) }, ""},
		{"one who works, and is denied now and then", func(b *box) { b.slowly("a", 180, 20*time.Second, 4) }, ""},
		{"the same again and again", func(b *box) {
			for range 500 {
				b.call("a", denied, on("door"))
				b.wait(7 * time.Second)
			}
		}, ""},
		{"faster, which is told as probing", func(b *box) { b.slowly("a", 400, 2*time.Second, 0) }, "probing:opened:HIGH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, func(c *detect.Config) { c.Denials.Enabled, c.Rate.Enabled = false, false })
			b.crowd(50)
			c.do(b)
			said := b.said()
			if !strings.Contains(said, c.want) || (c.want == "") != (said == "") {
				t.Errorf("found %q, want %q", said, c.want)
			}
			if strings.Contains(c.name, "faster") && strings.Contains(said, "slow_probing") {
				t.Errorf("told twice: %q", said)
			}
		})
	}
}

// How many things there were is known to within a tenth: the first finding says so many as the threshold, give or take.
func TestDistinctThingsOfALongWindowAreCountedWell(t *testing.T) {
	for _, at := range []int{8, 32, 100, detect.MaxDistinct} {
		b := newBox(t, only(detect.SlowProbe, func(c *detect.Config) { c.SlowProbing.At = at }))
		n := 0
		for ; len(b.found) == 0 && n < 2*at; n++ {
			b.slowly(fmt.Sprint("a", at), 1, 0, 0)
			b.call(fmt.Sprint("a", at), denied, on(fmt.Sprint("more/", n)))
			b.wait(time.Second)
		}
		if things := n + 1; things < at*9/10-2 || things > at*11/10+2 { // n resources, the one of slowly, and one action
			t.Errorf("%d: found at %d", at, things)
		}
	}
}

// What a policy does to those who work is not held against them, and what was before does not come back.
func TestPatienceOfThePolicysMaking(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(b *box)
	}{
		{"a revision that takes everything from one", func(b *box) {
			for range 20 {
				b.call("a", on("own"))
			}
			b.rev = "r2"
			b.slowly("a", 100, 20*time.Second, 0)
		}},
		{"half before an activation, half behind it", func(b *box) {
			b.slowly("a", 25, 20*time.Second, 1)
			b.rev = "r2"
			b.slowly("a", 25, 20*time.Second, 1)
		}},
		{"a release", func(b *box) {
			b.slowly("a", 25, 20*time.Second, 1)
			b.w.Forget("agent", "a")
			b.slowly("a", 25, 20*time.Second, 1)
		}},
		{"a denial behind it now and then", func(b *box) {
			b.slowly("a", 26, 20*time.Second, 0)
			for n := range 20 {
				for range 50 {
					b.call("a", on("own"))
				}
				b.call("a", denied, on(fmt.Sprint("orders/", n)))
				b.wait(time.Minute)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, only(detect.SlowProbe))
			b.crowd(50)
			c.do(b)
			b.want("")
		})
	}
}

// While the policy is suspect nobody is patient, and what was denied then is forgotten when it is no longer.
func TestWhileThePolicyIsSuspectNobodyIsPatient(t *testing.T) {
	b := newBox(t, func(c *detect.Config) { c.Rate.Enabled = false })
	names := make([]string, 30)
	for i := range names {
		names[i] = fmt.Sprint("agent-", i)
	}
	for n := range 100 {
		for _, who := range names {
			if n < 50 {
				b.call(who, denied, on(fmt.Sprintf("%s/%d", who, n)))
			} else {
				b.call(who, on("own"))
			}
		}
		b.wait(3 * time.Second)
	}
	for range 10 {
		for _, who := range names {
			b.call(who, denied, on(fmt.Sprint("later/", b.at.Unix())))
		}
		b.wait(5 * time.Minute)
	}
	if said := b.said(); strings.Contains(said, "slow_probing") || !strings.Contains(said, "suspect") {
		t.Errorf("found %q", said)
	}
}

// What others do with their roles makes nobody who probes less suspicious.
func TestAnotherDetectorsGuardForgetsNoPatience(t *testing.T) {
	b := newBox(t, func(c *detect.Config) { c.Rate.Enabled = false })
	b.slowly("a", 25, 20*time.Second, 0)
	for i := range 20 {
		b.call(fmt.Sprint("hopper-", i), as("one"))
		b.call(fmt.Sprint("hopper-", i), as("other"))
	}
	b.slowly("a", 1, 0, 0)
	for n := range 20 {
		b.call("a", denied, on(fmt.Sprint("more/", n)))
		b.wait(20 * time.Second)
	}
	if said := b.said(); !strings.Contains(said, "suspect:role_change") || !strings.Contains(said, "slow_probing:opened") {
		t.Errorf("found %q", said)
	}
}

// A restart, by state alone, goes on with a long window; a state of an earlier version, which has none, is read as well.
func TestARestartGoesOnWithLongWindows(t *testing.T) {
	run := func(every int) string {
		b := newBox(t, only(detect.SlowProbe))
		b.crowd(50)
		for n := range 60 {
			b.slowly("a", 1, 0, 2)
			b.call("a", denied, on(fmt.Sprint("hidden/", n)))
			b.wait(20 * time.Second)
			if every > 0 && n%every == every-1 {
				next := newBox(t, only(detect.SlowProbe))
				if err := next.w.LoadState(b.w.AppendState(nil)); err != nil {
					t.Fatal(err)
				}
				b.w = next.w
			}
		}
		for _, f := range b.found {
			if f.Change == detect.Opened && f.Threat == threat.Medium {
				return f.Incident
			}
		}
		return ""
	}
	want := run(0)
	if want == "" {
		t.Fatal("nothing found")
	}
	for _, every := range []int{3, 7, 20} {
		if got := run(every); got != want {
			t.Errorf("a restart every %d: %q, want %q", every, got, want)
		}
	}

	b := newBox(t, only(detect.SlowProbe))
	for range 10 {
		b.call("known")
	}
	now := b.w.AppendState(nil)
	old := bytes.Clone(now[:len(now)-4-12]) // without the long windows, of which there are none
	copy(old, "thymdet1")
	copy(old[8:16], detect.Hash([16]byte{}, "thymdet1"))
	next := newBox(t, only(detect.SlowProbe))
	if err := next.w.LoadState(detect.Checked(old)); err != nil {
		t.Fatal(err)
	}
	if got := next.w.AppendState(nil); !bytes.Equal(got, now) {
		t.Error("an earlier version's state is not taken")
	}
}

// What the long window adds to a denial: a thousand subjects, each denied another thing every 20 s.
//
//	go test -run '^$' -bench Patience -count 6 ./pdp/detect | benchstat -col /slow -
func BenchmarkPatience(b *testing.B) {
	for _, on := range []bool{true, false} {
		b.Run(fmt.Sprintf("slow=%t", on), func(b *testing.B) {
			c := detect.Default()
			c.SlowProbing.Enabled, c.SlowProbing.At = on, detect.MaxDistinct
			w, err := detect.New(detect.Options{Config: c})
			if err != nil {
				b.Fatal(err)
			}
			names, things := make([]string, 1000), make([]string, 997)
			for i := range names {
				names[i] = fmt.Sprint("agent-", i)
			}
			for i := range things {
				things[i] = fmt.Sprint("hidden/", i)
			}
			r := pdp.Record{Time: noon.UnixNano(), Row: -1, Effect: pdp.Deny, Flags: pdp.FlagResource, Revision: "r1", SubjectType: "agent", Action: "read"}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Time += int64(20 * time.Millisecond)
				r.SubjectID, r.Resource = names[i%1000], things[i%997]
				w.Observe(&r, nil)
			}
		})
	}
}
