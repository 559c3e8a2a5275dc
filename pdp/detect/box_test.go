package detect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/detect"
)

// box is a Watcher with a clock and a list of what it found.
type box struct {
	t     testing.TB
	w     *detect.Watcher
	at    time.Time
	rev   string
	found []detect.Finding
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// newBox makes a Watcher of the default configuration but for its size, changed by f.
func newBox(t testing.TB, f func(*detect.Config)) *box {
	t.Helper()
	c := detect.Default()
	c.Subjects = 1 << 12 // there are many boxes, and few subjects in each
	if f != nil {
		f(&c)
	}
	w, err := detect.New(detect.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	return &box{t: t, w: w, at: noon, rev: "r1"}
}

// only switches all detectors off but the one.
func only(det detect.Detector, more ...func(*detect.Config)) func(*detect.Config) {
	return func(c *detect.Config) {
		c.Denials.Enabled = det == detect.RepeatedDenials
		c.Probing.Enabled = det == detect.Probing
		c.SlowProbing.Enabled = det == detect.SlowProbe
		c.RoleChange.Enabled = det == detect.RoleChange
		c.Rate.Enabled = det == detect.RateAnomaly
		c.FirstSeen.Enabled = det == detect.FirstSeenAction
		c.PathConfusion.Enabled = det == detect.PathConfusion
		c.Errors.Enabled = det == detect.ErrorSpike
		c.Latency.Enabled = det == detect.LatencyDrift
		c.Pressure.Enabled = det == detect.RingPressure || det == detect.DiskPressure
		for _, f := range more {
			f(c)
		}
	}
}

type change func(*pdp.Record)

func denied(r *pdp.Record) { r.Effect, r.Flags = pdp.Deny, r.Flags&^pdp.FlagAllowed }
func on(resource string) change {
	return func(r *pdp.Record) { r.Resource, r.Flags = resource, r.Flags|pdp.FlagResource }
}
func doing(action string) change { return func(r *pdp.Record) { r.Action = action } }
func as(role string) change {
	return func(r *pdp.Record) { r.Role, r.Flags = role, r.Flags|pdp.FlagRole }
}
func flagged(f pdp.Flags) change { return func(r *pdp.Record) { r.Flags |= f } }
func failed(code pdp.FaultCode) change {
	return func(r *pdp.Record) { denied(r); r.Fault = code }
}
func took(d time.Duration) change { return func(r *pdp.Record) { r.Eval = int64(d) } }

// call observes one decision, permitted unless a change says otherwise, at the box's time.
func (b *box) call(agent string, changes ...change) {
	r := pdp.Record{
		Time: b.at.UnixNano(), Eval: 5000, Row: -1, Effect: pdp.Allow, Flags: pdp.FlagAllowed, Revision: b.rev,
		SubjectType: "agent", SubjectID: agent, Action: "read",
	}
	for _, c := range changes {
		c(&r)
	}
	b.w.Observe(&r, b.keep)
}

func (b *box) keep(f *detect.Finding) { b.found = append(b.found, f.Clone()) }

func (b *box) wait(d time.Duration) { b.at = b.at.Add(d) }

// crowd lets n quiet subjects be active.
func (b *box) crowd(n int) {
	for i := range n {
		b.call(fmt.Sprintf("quiet-%d", i))
	}
}

// said is what was found since the last time, a word each: detector change severity count, and ! for a candidate.
func (b *box) said() string {
	var out []string
	for _, f := range b.found {
		s := fmt.Sprintf("%s:%s:%s:%d", f.Detector, f.Change, f.Severity(), f.Count)
		if f.Suspect {
			s = "suspect:" + s
		}
		if f.Candidate {
			s += "!"
		}
		out = append(out, s)
	}
	b.found = nil
	return strings.Join(out, " ")
}

func (b *box) want(want string) {
	b.t.Helper()
	if got := b.said(); got != want {
		b.t.Errorf("found %q, want %q", got, want)
	}
}
