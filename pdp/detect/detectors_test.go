package detect_test

import (
	"fmt"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/detect"
	"thymus/pdp/immune"
)

// TestDetectors runs each detector up to its threshold and beyond, and where it is known to be evaded.
func TestDetectors(t *testing.T) {
	repeat := func(b *box, n int, pause time.Duration, changes ...change) {
		for i := range n {
			if i > 0 {
				b.wait(pause)
			}
			b.call("a", changes...)
		}
	}
	resources := func(b *box, n int, pause time.Duration, changes ...change) {
		for i := range n {
			b.wait(pause)
			b.call("a", append(changes, denied, on(fmt.Sprintf("r%d", i)))...)
		}
	}
	past := func(b *box, bins, each int) {
		for range bins {
			for range each {
				b.call("a")
			}
			b.wait(10 * time.Second)
		}
	}
	for _, c := range []struct {
		name string
		det  detect.Detector
		conf func(*detect.Config)
		run  func(*box)
		want string
	}{
		{"nine denials are nothing", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 9, time.Second, denied) }, ""},
		{"the tenth is a MEDIUM threat", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 10, time.Second, denied) }, "repeated_denials:opened:MEDIUM:10!"},
		{"50 and 200 raise the same incident", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 200, 100*time.Millisecond, denied) },
			"repeated_denials:opened:MEDIUM:10! repeated_denials:again:MEDIUM:20! repeated_denials:again:MEDIUM:40! " +
				"repeated_denials:raised:HIGH:50! repeated_denials:again:HIGH:100! repeated_denials:raised:CRITICAL:200!"},
		{"permits are not counted", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 500, 10*time.Millisecond) }, ""},
		{"denials by quarantine are not counted", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 500, 10*time.Millisecond, denied, flagged(pdp.FlagQuarantined)) }, ""},
		{"denials by an evaluation error are not counted", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 500, 10*time.Millisecond, failed(pdp.FaultBuiltin)) }, ""},
		{"denials by the deadline are not counted", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 500, 10*time.Millisecond, failed(pdp.FaultDeadline)) }, ""},
		{"a value that says neither is no denial", detect.RepeatedDenials, nil,
			func(b *box) {
				repeat(b, 50, 0, func(r *pdp.Record) { r.Effect, r.Flags = pdp.None, 0 })
			}, ""},
		{"evaded: one denial every seven seconds", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 500, 7*time.Second, denied) }, ""},
		{"a dry run is told and quarantines nobody", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 10, 0, denied, flagged(pdp.FlagDryRun)) }, "repeated_denials:opened:MEDIUM:10"},
		{"a call without a subject accuses nobody", detect.RepeatedDenials, nil,
			func(b *box) { repeat(b, 50, 0, denied, func(r *pdp.Record) { r.SubjectID = "" }) }, ""},

		{"seven distinct resources are nothing", detect.Probing, nil,
			func(b *box) { resources(b, 7, time.Second) }, ""},
		{"eight are HIGH", detect.Probing, nil,
			func(b *box) { resources(b, 8, time.Second) }, "probing:opened:HIGH:8!"},
		{"64 are CRITICAL", detect.Probing, nil,
			func(b *box) { resources(b, 64, 10*time.Millisecond) },
			"probing:opened:HIGH:8! probing:again:HIGH:16! probing:again:HIGH:32! probing:raised:CRITICAL:64!"},
		{"eight distinct actions on one resource are probing too", detect.Probing, nil,
			func(b *box) {
				for i := range 8 {
					b.call("a", denied, on("r"), doing(fmt.Sprint("act", i)))
				}
			}, "probing:opened:HIGH:8!"},
		{"seven again and again stay seven", detect.Probing, nil,
			func(b *box) {
				for i := range 700 {
					b.call("a", denied, on(fmt.Sprint("r", i%7)))
				}
			}, ""},
		{"what is permitted is no probe", detect.Probing, nil,
			func(b *box) {
				for i := range 100 {
					b.call("a", on(fmt.Sprint("r", i)))
				}
			}, ""},
		{"evaded: a distinct resource every nine seconds", detect.Probing, nil,
			func(b *box) { resources(b, 300, 9*time.Second) }, ""},
		{"patient probing is found within a longer window", detect.Probing, func(c *detect.Config) { c.Probing.Window = 10 * time.Minute },
			func(b *box) { resources(b, 9, 20*time.Second) }, "probing:opened:HIGH:8! probing:again:HIGH:9!"},
		{"errors are no probes", detect.Probing, nil,
			func(b *box) {
				for i := range 100 {
					b.call("a", failed(pdp.FaultInput), on(fmt.Sprint("r", i)))
				}
			}, ""},

		{"another role within the window", detect.RoleChange, nil,
			func(b *box) { b.call("a", as("guest")); b.wait(time.Minute); b.call("a", as("admin")) },
			"role_change:opened:MEDIUM:2!"},
		{"the same role is none", detect.RoleChange, nil,
			func(b *box) { repeat(b, 100, time.Second, as("guest")) }, ""},
		{"back and forth is told once", detect.RoleChange, nil,
			func(b *box) {
				for i := range 100 {
					b.call("a", as([]string{"guest", "admin"}[i%2]))
				}
			}, "role_change:opened:MEDIUM:2!"},
		{"a third role is more of the same", detect.RoleChange, nil,
			func(b *box) {
				for i := range 4 {
					b.call("a", as(fmt.Sprint("role", i)))
				}
			}, "role_change:opened:MEDIUM:2! role_change:again:MEDIUM:4!"},
		{"no role says nothing", detect.RoleChange, nil,
			func(b *box) { b.call("a", as("guest")); b.call("a"); b.call("a", as("guest")) }, ""},
		{"evaded: another role every six minutes", detect.RoleChange, nil,
			func(b *box) {
				for i := range 20 {
					b.call("a", as(fmt.Sprint("role", i)))
					b.wait(6 * time.Minute)
				}
			}, ""},

		{"far more calls than ever", detect.RateAnomaly, nil,
			func(b *box) { past(b, 70, 10); past(b, 1, 100) }, "rate_anomaly:opened:MEDIUM:29!"},
		{"a little more is nothing", detect.RateAnomaly, nil,
			func(b *box) { past(b, 70, 10); past(b, 1, 25) }, ""},
		{"nobody is judged while warming up", detect.RateAnomaly, nil,
			func(b *box) { past(b, 59, 10); past(b, 1, 1000) }, ""},
		{"nor who has called in few windows, however long it has been known", detect.RateAnomaly, nil,
			func(b *box) { past(b, 25, 10); b.wait(time.Hour); past(b, 1, 1000) }, ""},
		{"a burst teaches little", detect.RateAnomaly, nil,
			func(b *box) {
				past(b, 70, 40)
				past(b, 1, 100_000)
				past(b, 20, 40)
				past(b, 1, 400)
			}, "rate_anomaly:opened:MEDIUM:78! rate_anomaly:again:MEDIUM:79!"},
		{"few calls are never an anomaly", detect.RateAnomaly, nil,
			func(b *box) { past(b, 70, 1); past(b, 1, 20) }, ""},
		{"a night's sleep teaches nothing", detect.RateAnomaly, nil,
			func(b *box) { past(b, 70, 40); b.wait(8 * time.Hour); past(b, 10, 40) }, ""},
		{"evaded: ten percent more each time", detect.RateAnomaly, nil,
			func(b *box) {
				past(b, 70, 100)
				for n := 100.0; n < 2000; n *= 1.1 {
					past(b, 8, int(n))
				}
			}, ""},
		{"calls in quarantine are no anomaly", detect.RateAnomaly, nil,
			func(b *box) { past(b, 70, 10); repeat(b, 1000, 0, denied, flagged(pdp.FlagQuarantined)) }, ""},

		{"a long-known subject does something new", detect.FirstSeenAction, nil,
			func(b *box) { past(b, 40, 1); b.wait(24 * time.Hour); b.call("a", doing("delete")) },
			"first_seen_action:opened:LOW:1!"},
		{"and what it always did is nothing", detect.FirstSeenAction, nil,
			func(b *box) { past(b, 40, 1); b.wait(24 * time.Hour); past(b, 40, 1) }, ""},
		{"a subject that has not been known for long", detect.FirstSeenAction, nil,
			func(b *box) { past(b, 40, 1); b.wait(23 * time.Hour); b.call("a", doing("delete")) }, ""},
		{"who has hardly called has no habits", detect.FirstSeenAction, nil,
			func(b *box) { past(b, 20, 1); b.wait(24 * time.Hour); b.call("a", doing("delete")) }, ""},
		{"evaded: everything is done once on the first day", detect.FirstSeenAction, nil,
			func(b *box) {
				b.call("a", doing("delete"))
				past(b, 40, 1)
				b.wait(24 * time.Hour)
				b.call("a", doing("delete"))
			}, ""},
		{"evaded: a subject that does hundreds of things has no habits", detect.FirstSeenAction, nil,
			func(b *box) {
				for i := range 200 {
					b.call("a", doing(fmt.Sprint("act", i)))
				}
				b.wait(24 * time.Hour)
				b.call("a", doing("delete"))
			}, ""},

		{"one touch of a decoy is CRITICAL", detect.Decoy, func(c *detect.Config) { c.Decoys = []string{"vault/root"} },
			func(b *box) { b.call("a", on("vault/root")) }, "decoy_touched:opened:CRITICAL:1!"},
		{"a denied touch, too", detect.Decoy, func(c *detect.Config) { c.Decoys = []string{"vault/*"} },
			func(b *box) { b.call("a", denied, on("vault/x")) }, "decoy_touched:opened:CRITICAL:1!"},
		{"what only looks like a decoy is none", detect.Decoy, func(c *detect.Config) { c.Decoys = []string{"vault/root", "k/*"} },
			func(b *box) { b.call("a", on("vault/roo")); b.call("a", on("vault/root2")); b.call("a", on("k")) }, ""},

		{"two confusing paths are nothing", detect.PathConfusion, nil,
			func(b *box) { repeat(b, 2, time.Second, flagged(pdp.FlagPathDiffers)) }, ""},
		{"three are MEDIUM, and 24 are HIGH", detect.PathConfusion, nil,
			func(b *box) { repeat(b, 24, time.Millisecond, flagged(pdp.FlagPathDiffers)) },
			"path_confusion:opened:MEDIUM:3! path_confusion:again:MEDIUM:6! path_confusion:again:MEDIUM:12! path_confusion:raised:HIGH:24!"},
		{"refused as ambiguous counts as well", detect.PathConfusion, nil,
			func(b *box) { repeat(b, 3, time.Second, failed(pdp.FaultInput), flagged(pdp.FlagPathDiffers)) },
			"path_confusion:opened:MEDIUM:3!"},
		{"evaded: one every half minute", detect.PathConfusion, nil,
			func(b *box) { repeat(b, 100, 33*time.Second, flagged(pdp.FlagPathDiffers)) }, ""},

		{"nine errors are nothing", detect.ErrorSpike, nil,
			func(b *box) { repeat(b, 9, time.Second, failed(pdp.FaultBuiltin)) }, ""},
		{"ten are an ERROR_SPIKE", detect.ErrorSpike, nil,
			func(b *box) { repeat(b, 10, time.Second, failed(pdp.FaultDeadline)) }, "error_spike:opened:WARNING:10"},
		{"denials are no errors", detect.ErrorSpike, nil,
			func(b *box) { repeat(b, 100, 0, denied) }, ""},

		{"evaluation slows down", detect.LatencyDrift, nil,
			func(b *box) {
				repeat(b, 1500, time.Second, took(50*time.Microsecond))
				repeat(b, 200, time.Second, took(time.Millisecond))
			}, "latency_drift:opened:WARNING:1 latency_drift:again:WARNING:2"},
		{"a slow call in twenty is no drift", detect.LatencyDrift, nil,
			func(b *box) {
				repeat(b, 3000, 500*time.Millisecond, took(50*time.Microsecond))
				for i := range 1000 {
					b.wait(500 * time.Millisecond)
					if i%20 == 0 {
						b.call("a", took(50*time.Millisecond))
					} else {
						b.call("a", took(50*time.Microsecond))
					}
				}
			}, ""},
		{"what slows nobody down is no drift", detect.LatencyDrift, nil,
			func(b *box) {
				repeat(b, 3000, 500*time.Millisecond, took(time.Microsecond))
				repeat(b, 1500, 500*time.Millisecond, took(20*time.Microsecond))
			}, ""},
		{"a few calls are no window", detect.LatencyDrift, nil,
			func(b *box) {
				repeat(b, 3000, 500*time.Millisecond, took(50*time.Microsecond))
				b.wait(5 * time.Minute)
				repeat(b, 90, 4*time.Second, took(time.Second))
			}, ""},
		{"one terrible window does not teach that all is well", detect.LatencyDrift, nil,
			func(b *box) {
				repeat(b, 3000, 500*time.Millisecond, took(50*time.Microsecond))
				repeat(b, 240, 500*time.Millisecond, took(time.Second))
				b.wait(time.Hour)
				repeat(b, 500, 500*time.Millisecond, took(time.Millisecond))
			}, "latency_drift:opened:WARNING:1 latency_drift:opened:WARNING:1 latency_drift:again:WARNING:2 latency_drift:again:WARNING:3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := []func(*detect.Config){func(f *detect.Config) { f.Latency.Window = 2 * time.Minute; f.Fleet.AtLeast = 5 }}
			if c.conf != nil {
				conf = append(conf, c.conf)
			}
			b := newBox(t, only(c.det, conf...))
			b.call("") // says which revision there is
			c.run(b)
			b.want(c.want)
		})
	}
}

func TestASwitchTurnsADetectorOff(t *testing.T) {
	b := newBox(t, only(detect.Detectors))
	for i := range 500 {
		b.call("a", denied, on(fmt.Sprint("r", i)), as(fmt.Sprint("role", i)), flagged(pdp.FlagPathDiffers))
		b.call("a", failed(pdp.FaultInternal))
		b.w.Gauge(b.at, detect.Reading{Ring: 100, Disk: 100, Shed: uint64(i)}, b.keep)
		b.wait(time.Millisecond)
	}
	b.want("")
}

func TestPressureHasHysteresis(t *testing.T) {
	b := newBox(t, only(detect.RingPressure))
	read := func(r detect.Reading, n int) {
		for range n {
			b.w.Gauge(b.at, r, b.keep)
			b.wait(time.Second)
		}
	}
	read(detect.Reading{Ring: 49, Disk: 89}, 100)
	b.want("")
	read(detect.Reading{Ring: 50, Disk: 89}, 1)
	b.want("ring_pressure:opened:WARNING:1")
	read(detect.Reading{Ring: 45, Disk: 89}, 100)
	b.want("")
	read(detect.Reading{Ring: 60, Shed: 1, Disk: 89}, 1)
	b.want("ring_pressure:raised:CRITICAL:2")
	read(detect.Reading{Ring: 40, Shed: 1, Disk: 89}, 60)
	b.want("")
	read(detect.Reading{Ring: 40, Shed: 1, Disk: 89}, 1)
	b.want("ring_pressure:ended:CRITICAL:2")
	read(detect.Reading{Ring: 10, Shed: 1, Disk: 95}, 1)
	f := b.found[0]
	b.want("disk_pressure:opened:WARNING:1")
	if f.Kind != immune.ResourceExhaustion || string(f.Metadata) != `{"detector":"disk_pressure","threshold":90,"percent":95}` {
		t.Errorf("got %s %s", f.Kind, f.Metadata)
	}
}
