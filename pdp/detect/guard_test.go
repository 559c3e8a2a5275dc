package detect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/detect"
	"thymus/pdp/immune"
)

func TestAFifthOfTheSubjectsAtOnceIsThePolicysFault(t *testing.T) {
	for _, c := range []struct {
		name           string
		active, firing int
		suspect        bool
	}{
		{"all of a hundred", 100, 100, true},
		{"a fifth of a hundred", 100, 20, true},
		{"less than a fifth", 100, 19, false},
		{"five of six", 6, 5, true},
		{"four of four are too few", 4, 4, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, only(detect.RepeatedDenials))
			b.crowd(c.active)
			for range 10 {
				for i := range c.firing {
					b.call(fmt.Sprintf("quiet-%d", i), denied)
				}
			}
			for range 2000 { // withdrawals are told a few a record
				b.call("quiet-0")
			}
			candidates := map[string]bool{}
			suspects := 0
			for _, f := range b.found {
				if f.Suspect {
					if f.Change == detect.Opened {
						suspects++
					}
					if f.Immune != immune.Critical || f.Kind != immune.PolicyViolation || f.Threat != "" {
						t.Errorf("the policy is reported as %s %s", f.Kind, f.Immune)
					}
					continue
				}
				candidates[f.SubjectID] = f.Candidate
			}
			left := 0
			for _, yes := range candidates {
				if yes {
					left++
				}
			}
			if c.suspect && (suspects != 1 || left != 0 || !b.w.Suspects(detect.RepeatedDenials)) {
				t.Errorf("%d findings about the policy and %d candidates, want 1 and 0", suspects, left)
			}
			if !c.suspect && (suspects != 0 || left+heldIn(b) != c.firing) {
				t.Errorf("%d findings about the policy and %d candidates of %d", suspects, left, c.firing)
			}
		})
	}
}

func heldIn(b *box) (n int) {
	for _, f := range b.found {
		if strings.Contains(string(f.Metadata), `"held":true`) {
			n++
		}
	}
	return n
}

// TestARolloutThatDeniesAllQuarantinesNobody: subjects of very different rates, of whom the busiest reaches every
// threshold long before the others have called once.
func TestARolloutThatDeniesAllQuarantinesNobody(t *testing.T) {
	b := newBox(t, nil)
	run := func(seconds int, denyAll bool) {
		for ms := range seconds * 1000 {
			for i := range 60 {
				if every := 5 + i*i*8; ms%every == 0 {
					name := fmt.Sprintf("agent-%d", i)
					if denyAll {
						b.call(name, denied, on(fmt.Sprint("r", ms/every%20)))
					} else {
						b.call(name, on(fmt.Sprint("r", ms/every%20)))
					}
				}
			}
			b.wait(time.Millisecond)
		}
	}
	run(120, false)
	b.want("")
	b.rev = "r2"
	run(90, true)
	suspects := map[detect.Detector]int{}
	for _, f := range b.found {
		if f.Candidate {
			t.Errorf("%s is a candidate: %s %s %s", f.SubjectID, f.Detector, f.Change, f.Severity())
		}
		if f.Suspect && f.Change == detect.Opened {
			suspects[f.Detector]++
		}
	}
	if suspects[detect.RepeatedDenials] != 1 || suspects[detect.Probing] != 1 {
		t.Errorf("the policy was suspected %v times, want once by each detector of denials", suspects)
	}
	b.found = nil
	b.rev = "r1" // back to the last good one
	run(180, false)
	for _, f := range b.found {
		if !f.Suspect || f.Change != detect.Ended {
			t.Errorf("after the rollback: %s %s %s", f.Detector, f.Change, f.Severity())
		}
	}
}

// probedYoung is a fleet of so many quiet subjects, five seconds after a new revision, of which another has just probed.
func probedYoung(t *testing.T, fleet int) *box {
	t.Helper()
	b := newBox(t, only(detect.Probing))
	b.crowd(fleet)
	b.rev = "r2"
	b.wait(5 * time.Second)
	for i := range 8 {
		b.call("a", denied, on(fmt.Sprint("r", i)))
	}
	return b
}

func TestAnAttackRightAfterARolloutIsHeldUntilTheOthersArePermitted(t *testing.T) {
	b := probedYoung(t, 100)
	b.want("probing:opened:HIGH:8") // not yet: it may be the policy
	for i := range 79 {
		b.call(fmt.Sprintf("quiet-%d", i))
	}
	b.want("")
	for range 600 { // the sweep takes some records
		b.crowd(100)
	}
	b.want("probing:released:HIGH:8!")
}

func TestWhatIsHeldIsReleasedWhenTheRevisionIsNoLongerYoung(t *testing.T) {
	b := probedYoung(t, 100)
	b.want("probing:opened:HIGH:8")
	b.wait(61 * time.Second)
	for range 600 {
		b.call("b")
	}
	b.want("probing:released:HIGH:8!")
}

// TestAPolicyThatTurnsByItselfQuarantinesNobody: a rule that denies from an hour of the day on is no other revision, but
// when the first subject reaches a threshold, the others are half way there.
func TestAPolicyThatTurnsByItselfQuarantinesNobody(t *testing.T) {
	b := newBox(t, nil)
	b.crowd(10)
	b.want("")
	for n := range 60 {
		for i := range 10 {
			b.call(fmt.Sprintf("quiet-%d", i), denied, on(fmt.Sprint("r", n)))
		}
		b.wait(100 * time.Millisecond)
	}
	for _, f := range b.found {
		if f.Candidate {
			t.Errorf("%s would be quarantined: %s %s", f.SubjectID, f.Detector, f.Severity())
		}
	}
	if !b.w.Suspects(detect.RepeatedDenials) || !b.w.Suspects(detect.Probing) {
		t.Error("the policy is not suspect")
	}
	b.found = nil
	for range 200 { // it turns back
		b.crowd(10)
		b.wait(time.Second)
	}
	for _, f := range b.found {
		if f.Change != detect.Ended {
			t.Errorf("afterwards: %s %s", f.Detector, f.Change)
		}
	}
	if len(b.found) != 2 {
		t.Errorf("%d findings afterwards, want the end of both", len(b.found))
	}
}

func TestAnOlderIncidentIsNotThePolicysFault(t *testing.T) {
	b := newBox(t, only(detect.Decoy, func(c *detect.Config) { c.Decoys = []string{"vault"} }))
	for range 12 {
		b.call("a", on("vault"))
		b.wait(10 * time.Second)
	}
	b.found = nil
	for i := range 4 {
		b.call(fmt.Sprint("other-", i), on("vault"))
	}
	b.want("decoy_touched:opened:CRITICAL:1! decoy_touched:opened:CRITICAL:1! decoy_touched:opened:CRITICAL:1!" +
		" suspect:decoy_touched:opened:CRITICAL:5")
	for range 10 {
		b.call("b")
	}
	b.want("decoy_touched:withdrawn:CRITICAL:1 decoy_touched:withdrawn:CRITICAL:1 decoy_touched:withdrawn:CRITICAL:1")
	b.wait(15 * time.Second)
	b.call("a", on("vault"))
	b.want("decoy_touched:again:CRITICAL:13") // goes on, and is no candidate meanwhile
	for range 90 {
		b.wait(time.Second)
		b.call("b")
	}
	b.want("") // few fire by now, but not for long enough
	for range 60 {
		b.wait(time.Second)
		b.call("b")
	}
	b.want("suspect:decoy_touched:ended:CRITICAL:5 decoy_touched:released:CRITICAL:13!")
	b.call("other-0", on("vault"))
	b.want("decoy_touched:opened:CRITICAL:1!") // another incident than the one that was withdrawn
}

func TestWhatIsHeldForOthersHalfWayIsReleasedWhenTheyStop(t *testing.T) {
	b := newBox(t, only(detect.RepeatedDenials))
	for range 5 {
		for i := range 6 {
			b.call(fmt.Sprintf("quiet-%d", i), denied)
		}
	}
	for range 10 {
		b.call("a", denied)
	}
	b.want("repeated_denials:opened:MEDIUM:10")
	for range 50 {
		b.wait(time.Second)
		b.crowd(6)
	}
	b.want("")
	for range 50 {
		b.wait(time.Second)
		b.crowd(6)
	}
	b.want("repeated_denials:released:MEDIUM:10!")
}

func TestErrorsOfTheOldRevisionAreNotTheNewOnes(t *testing.T) {
	b := newBox(t, only(detect.ErrorSpike))
	b.call("a")
	b.rev = "r2"
	b.call("a")
	b.rev = "r1"
	for range 20 {
		b.call("a", failed(pdp.FaultBuiltin))
	}
	b.want("")
}

func TestWhatIsHeldIsDroppedWithItsRevision(t *testing.T) {
	b := probedYoung(t, 100)
	b.want("probing:opened:HIGH:8")
	b.rev = "r3"
	for range 70 {
		b.wait(time.Second)
		b.crowd(100)
	}
	b.want("")
}

func TestASmallFleetIsNotHeld(t *testing.T) {
	b := probedYoung(t, 3)
	b.want("probing:opened:HIGH:8!")
}

func TestActivatingARevisionStartsTheWindowsAnew(t *testing.T) {
	b := newBox(t, only(detect.RepeatedDenials))
	nine := func() {
		for range 9 {
			b.call("a", denied)
		}
	}
	nine()
	b.rev = "r2"
	nine()
	b.want("")
	b.rev = "r1" // still those that began before
	for range 50 {
		b.call("a", denied)
	}
	b.want("")
	b.rev = "r2"
	b.call("a", denied)
	b.want("repeated_denials:opened:MEDIUM:10!")
	b.wait(3 * time.Second)
	b.rev = "r1" // a rollback
	nine()
	b.want("")
	b.call("a", denied)
	b.wait(time.Second)
	b.want("")
	if got := b.w.Stats().Revisions; got != 2 {
		t.Errorf("%d activations, want 2", got)
	}
}

// TestWhatAnOlderRevisionDidIsNotCountedAgainstTheNext: each window and tally, filled under r1 or r2, and what comes next.
func TestWhatAnOlderRevisionDidIsNotCountedAgainstTheNext(t *testing.T) {
	for _, c := range []struct {
		name string
		det  detect.Detector
		fill func(*box)
		next func(*box)
		want string
	}{
		{"subjects half way to a threshold", detect.RepeatedDenials,
			func(b *box) {
				for i := range 60 {
					b.call(fmt.Sprintf("quiet-%d", i%10), denied)
				}
			},
			func(b *box) {
				b.crowd(30)
				for range 10 {
					b.call("a", denied)
				}
			}, "repeated_denials:opened:MEDIUM:10!"},
		{"subjects that fired", detect.Decoy,
			func(b *box) {
				for i := range 5 {
					b.call(fmt.Sprintf("quiet-%d", i), on("vault"))
				}
				b.found = nil
			},
			func(b *box) { b.call("quiet-20", on("vault")) }, "decoy_touched:opened:CRITICAL:1!"},
		{"errors", detect.ErrorSpike,
			func(b *box) {
				for range 9 {
					b.call("a", failed(pdp.FaultBuiltin))
				}
			},
			func(b *box) { b.call("a", failed(pdp.FaultBuiltin)) }, ""},
		{"subjects that lost what they were permitted", detect.Probing,
			func(b *box) {
				b.rev = "between"
				b.wait(3 * time.Second)
				for i := range 15 {
					b.call(fmt.Sprintf("quiet-%d", i), denied, on("r"))
				}
			},
			func(b *box) {
				for i := range 8 {
					b.call("a", denied, on(fmt.Sprint("r", i)))
				}
			}, "probing:opened:HIGH:8"},
		{"roles", detect.RoleChange, func(b *box) { b.call("a", as("guest")) }, func(b *box) { b.call("a", as("admin")) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, only(c.det, func(c *detect.Config) { c.Decoys = []string{"vault"} }))
			b.crowd(30)
			c.fill(b)
			b.want("")
			b.rev = "next"
			b.wait(3 * time.Second)
			c.next(b)
			b.want(c.want)
		})
	}
}

func TestSequencesStandForRevisions(t *testing.T) {
	names := map[uint32]string{1: "r1", 2: "r1", 3: "r3"}
	w, err := detect.New(detect.Options{Config: detect.Default(), Revision: func(s uint32) string { return names[s] }})
	if err != nil {
		t.Fatal(err)
	}
	for i, seq := range []uint32{1, 1, 2, 2, 9, 3, 1, 3, 3, 2} {
		w.Observe(&pdp.Record{Time: noon.UnixNano() + int64(i), Seq: seq, Effect: pdp.Allow, SubjectID: "a"}, nil)
	}
	if got, rev := w.Stats().Revisions, w.Revision(); got != 1 || rev != "r3" {
		t.Errorf("%d activations up to %q, want 1 up to r3", got, rev)
	}
}

func TestReleaseFromQuarantineClearsTheSubjectsWindows(t *testing.T) {
	b := newBox(t, only(detect.RepeatedDenials))
	for range 10 {
		b.call("a", denied)
	}
	b.call("b", denied)
	first := b.found[0].Incident
	b.want("repeated_denials:opened:MEDIUM:10!")
	b.w.Forget("agent", "a")
	b.wait(time.Second)
	for range 9 {
		b.call("a", denied)
		b.call("b", denied)
	}
	b.want("repeated_denials:opened:MEDIUM:10!") // b's
	b.call("a", denied)
	if b.found[0].Incident == first {
		t.Error("the incident goes on")
	}
	b.want("repeated_denials:opened:MEDIUM:10!")
}

func TestOneIncidentHasOneKeyUntilItHasBeenQuiet(t *testing.T) {
	b := newBox(t, only(detect.RepeatedDenials))
	keys := map[string]int{}
	burst := func() {
		for range 10 {
			b.call("a", denied)
		}
		for _, f := range b.found {
			keys[f.Incident]++
		}
		b.found = nil
	}
	for range 20 {
		burst()
		b.wait(14 * time.Minute)
	}
	if len(keys) != 1 {
		t.Errorf("one incident under %d keys", len(keys))
	}
	b.wait(2 * time.Minute)
	burst()
	if len(keys) != 2 {
		t.Errorf("%d keys, want another incident after 16 quiet minutes", len(keys))
	}
}

func TestWindowsCountWhatLiesWithinThem(t *testing.T) {
	// Wherever the window begins, ten denials within 60 s are found, and ten within more than 62 s are not.
	for offset := time.Duration(0); offset < 4*time.Second; offset += 97 * time.Millisecond {
		for _, c := range []struct {
			span time.Duration
			want bool
		}{{59999 * time.Millisecond, true}, {60 * time.Second, true}, {62 * time.Second, false}} {
			b := newBox(t, only(detect.RepeatedDenials))
			b.wait(offset)
			for i := range 10 {
				b.at = noon.Add(offset + c.span*time.Duration(i)/9)
				b.call("a", denied)
			}
			if got := b.said() != ""; got != c.want {
				t.Fatalf("ten within %s from %s on: found %v", c.span, offset, got)
			}
			b = newBox(t, only(detect.RepeatedDenials))
			for i := range 10 { // half of them at each end
				b.at = noon.Add(offset + c.span*time.Duration(i/5))
				b.call("a", denied)
			}
			if got := b.said() != ""; got != c.want {
				t.Fatalf("five and five, %s apart from %s on: found %v", c.span, offset, got)
			}
			b = newBox(t, only(detect.Probing))
			for i := range 8 {
				b.at = noon.Add(offset + c.span*time.Duration(i)/7)
				b.call("a", denied, on(fmt.Sprint(i)))
			}
			if got := b.said() != ""; got != c.want {
				t.Fatalf("eight distinct within %s from %s on: found %v", c.span, offset, got)
			}
		}
	}
}

func TestAClockThatIsSetBackStopsNothing(t *testing.T) {
	b := newBox(t, only(detect.RepeatedDenials))
	b.call("a", denied)
	b.wait(24 * time.Hour)
	for range 9 {
		b.call("a", denied)
	}
	b.want("")
	b.wait(-24 * time.Hour)
	for range 9 {
		b.call("a", denied)
	}
	b.want("")
	b.call("a", denied)
	b.want("repeated_denials:opened:MEDIUM:10!")
	if b.w.Stats().Restarts != 1 {
		t.Errorf("%d restarts, want 1", b.w.Stats().Restarts)
	}
}

func TestWhatLiesInTheFutureIsForgottenWhenTheClockIsSetBack(t *testing.T) {
	b := newBox(t, only(detect.Probing))
	b.wait(24 * time.Hour)
	for i := range 7 {
		b.call("a", denied, on(fmt.Sprint(i)))
	}
	b.wait(-24 * time.Hour)
	b.call("a", denied, on("another"))
	b.want("")
}

// TestAtOnceIsWithinTheWindow: subjects that fire one after the other count together as long as the window holds them.
func TestAtOnceIsWithinTheWindow(t *testing.T) {
	for _, c := range []struct {
		pause time.Duration // between the first four and the fifth
		want  bool
	}{{0, true}, {30 * time.Second, true}, {55 * time.Second, true}, {59 * time.Second, true}, {75 * time.Second, false}, {10 * time.Minute, false}} {
		b := newBox(t, only(detect.Decoy, func(c *detect.Config) { c.Decoys = []string{"vault"} }))
		for i := range 4 {
			b.call(fmt.Sprint("a", i), on("vault"))
		}
		b.wait(c.pause)
		b.call("a4", on("vault"))
		if b.w.Suspects(detect.Decoy) != c.want {
			t.Errorf("four and one, %s apart: suspect %v", c.pause, !c.want)
		}
	}
}

func TestRecordsMayOvertakeEachOther(t *testing.T) {
	b := newBox(t, only(detect.RepeatedDenials))
	for i := range 10 {
		b.at = noon.Add(time.Duration(i%3) * -time.Second)
		b.call("a", denied)
	}
	b.want("repeated_denials:opened:MEDIUM:10!")
}

func TestABrownOutLeavesOutWhatCostsMost(t *testing.T) {
	b := newBox(t, nil)
	b.w.Lean(true)
	for i := range 10 {
		b.call("a", denied, as(fmt.Sprint("role", i)))
	}
	b.want("repeated_denials:opened:MEDIUM:10!")
	b.w.Lean(false)
	b.call("a", as("x"))
	b.call("a", as("y"))
	b.want("role_change:opened:MEDIUM:2!")
}

// TestOthersMayAskWhileThePumpObserves is for the race detector.
func TestOthersMayAskWhileThePumpObserves(t *testing.T) {
	b := newBox(t, nil)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				b.w.Forget("agent", "a")
				b.w.Lean(i%2 == 0)
				_ = b.w.Active()
			}
		}
	}()
	for range 5000 {
		b.call("a", denied)
		b.wait(time.Second)
	}
	close(stop)
	<-stopped
	if b.w.Active() == 0 {
		t.Error("nobody was active")
	}
}
