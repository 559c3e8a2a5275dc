package detect_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/detect"
	"thymus/pdp/threat"
)

// An act is something that one agent does for a while on the second day, with what should be found. A harmless one has
// no detector: whatever is found of it is a false alarm.
type act struct {
	label string
	agent string
	want  detect.Detector
	from  int // second of the day
	secs  int
	do    func(b *box, sec int)
}

const harmless = detect.Detectors

func clock(h, m int) int { return h*3600 + m*60 }

// acts are the labels of the day. Attackers are agents that otherwise go about their work.
func acts() []act {
	var out []act
	n := 0
	add := func(label string, want detect.Detector, count, from, secs int, do func(b *box, agent string, i, sec int)) {
		for i := range count {
			agent := fmt.Sprintf("agent-%d", n%90)
			n++
			out = append(out, act{label, agent, want, from + i*clock(0, 47), secs, func(b *box, sec int) { do(b, agent, i, sec) }})
		}
	}
	deny := func(b *box, agent, resource string) { b.call(agent, denied, on(resource), as("worker")) }
	add("brute force: 2 to 12 denials a second for a minute", detect.RepeatedDenials, 6, clock(7, 5), 60,
		func(b *box, agent string, i, sec int) {
			for range 2 * (i + 1) {
				deny(b, agent, "payroll")
			}
		})
	add("brute force, patient: a denial every 7 s for an hour", detect.RepeatedDenials, 4, clock(6, 10), 3600,
		func(b *box, agent string, _, sec int) {
			if sec%7 == 0 {
				deny(b, agent, "payroll")
			}
		})
	add("probing: a resource a second", detect.Probing, 6, clock(8, 11), 30,
		func(b *box, agent string, _, sec int) { deny(b, agent, fmt.Sprint("hidden/", sec)) })
	add("probing, slow: a resource every 5 s", detect.Probing, 4, clock(9, 21), 600,
		func(b *box, agent string, _, sec int) {
			if sec%5 == 0 {
				deny(b, agent, fmt.Sprint("hidden/", sec))
			}
		})
	add("probing, patient: a resource every 20 s", detect.SlowProbe, 4, clock(10, 31), 3600,
		func(b *box, agent string, _, sec int) {
			if sec%20 == 0 {
				deny(b, agent, fmt.Sprint("hidden/", sec))
			}
		})
	add("role hopping: a role every 30 s", detect.RoleChange, 5, clock(8, 41), 120,
		func(b *box, agent string, _, sec int) {
			if sec%30 == 0 {
				b.call(agent, as(fmt.Sprint("role-", sec/30)))
			}
		})
	add("decoy: one touch", detect.Decoy, 4, clock(11, 3), 1,
		func(b *box, agent string, _, sec int) { b.call(agent, on("vault/root"), as("worker")) })
	add("first-seen action of a long-known agent", detect.FirstSeenAction, 5, clock(9, 33), 1,
		func(b *box, agent string, i, sec int) { b.call(agent, doing(fmt.Sprint("export-", i)), as("worker")) })
	add("path confusion: five a minute", detect.PathConfusion, 3, clock(12, 7), 60,
		func(b *box, agent string, _, sec int) {
			if sec%12 == 0 {
				b.call(agent, flagged(pdp.FlagPathDiffers), as("worker"))
			}
		})
	add("path confusion, patient: one every 5 minutes", detect.PathConfusion, 3, clock(13, 7), 3600,
		func(b *box, agent string, _, sec int) {
			if sec%300 == 0 {
				b.call(agent, flagged(pdp.FlagPathDiffers), as("worker"))
			}
		})
	for i := range 4 {
		agent := fmt.Sprintf("busy-%d", i)
		out = append(out, act{"burst: 20 times the usual rate for a minute", agent, detect.RateAnomaly, clock(10+i, 17), 60,
			func(b *box, sec int) {
				for range 20 {
					b.call(agent, as("worker"))
				}
			}})
	}
	for i := range 2 {
		agent := fmt.Sprintf("busy-%d", 4+i)
		out = append(out, act{"creep: from usual to 20 times the rate within 6 hours", agent, detect.RateAnomaly, clock(9, 0), 6 * 3600,
			func(b *box, sec int) {
				for range int(math.Exp(float64(sec) / (6 * 3600) * math.Log(20))) {
					b.call(agent, as("worker"))
				}
			}})
	}
	out = append(out, act{"a policy's data breaks: errors for two minutes", "", detect.ErrorSpike, clock(15, 0), 120,
		func(b *box, sec int) { b.call("agent-99", failed(pdp.FaultBuiltin), as("worker")) }})
	// What nobody means ill by.
	out = append(out,
		act{"a job with a stale permission tries twelve times", "agent-91", harmless, clock(6, 0), 12,
			func(b *box, sec int) { deny(b, "agent-91", "reports") }},
		act{"an agent that rightly works under two roles", "agent-92", harmless, clock(8, 0), 8 * 3600,
			func(b *box, sec int) {
				if sec%60 == 0 {
					b.call("agent-92", as([]string{"worker", "approver"}[sec/60%2]))
				}
			}},
		act{"a nightly batch", "busy-7", harmless, clock(2, 0), 180,
			func(b *box, sec int) {
				for range 30 {
					b.call("busy-7", as("worker"))
				}
			}})
	for i := range 10 {
		agent := fmt.Sprintf("agent-%d", 80+i)
		out = append(out, act{"a release brings a new action to ten agents", agent, harmless, clock(16, 0), 3600,
			func(b *box, sec int) {
				if sec%60 == i {
					b.call(agent, doing("read_v2"), as("worker"))
				}
			}})
	}
	return out
}

// outcome is a line of the day's result.
type outcome struct {
	label                     string
	acts, found, missed, more int
}

// liveDay lives two days with a box: one of work only, and the one of the labels. 100 agents call every 20 s by day, 8
// busy ones every second; one call in a hundred is denied. At 20:00 a policy that denies everybody is rolled out and is
// taken back after five minutes.
func liveDay(t *testing.T) (b *box, labels []act) {
	b = newBox(t, func(c *detect.Config) { c.Decoys = []string{"vault/*"} })
	rng := rand.New(rand.NewPCG(7, 7))
	start := noon.Add(-36 * time.Hour)
	labels = acts()
	batch := labels[len(labels)-11]
	for sec := range 2 * 86400 {
		day, second := sec/86400, sec%86400
		b.at = start.Add(time.Duration(sec) * time.Second)
		light := 0.15 + 0.85*max(0, math.Sin(float64(second-clock(6, 0))/43200*math.Pi))
		outage := day == 1 && second >= clock(20, 0) && second < clock(20, 5)
		b.rev = "r1"
		if outage {
			b.rev = "r2"
		} else if day == 1 && second >= clock(20, 5) {
			b.rev = "r3"
		}
		work := func(agent string) {
			c := []change{as("worker"), on(fmt.Sprint("orders/", rng.IntN(40))), doing([]string{"read", "write", "list"}[rng.IntN(3)]),
				took(time.Duration(4+rng.IntN(4)) * time.Microsecond)}
			if outage || rng.IntN(100) == 0 {
				c = append(c, denied)
			}
			b.call(agent, c...)
		}
		for i := range 100 {
			if rng.Float64() < light/20 {
				work(fmt.Sprintf("agent-%d", i))
			}
		}
		for i := range 8 {
			for range 3 {
				if rng.Float64() < light/3 {
					work(fmt.Sprintf("busy-%d", i))
				}
			}
		}
		if day == 0 && second >= batch.from && second < batch.from+batch.secs {
			batch.do(b, second-batch.from) // it runs every night
		}
		for i := range labels {
			if a := &labels[i]; day == 1 && second >= a.from && second < a.from+a.secs {
				a.do(b, second-a.from)
			}
		}
	}
	return b, labels
}

// TestALabelledDay says what of a day's attacks is found, what is missed, and what else is found. The figures are those
// of docs/detection.md, word for word.
func TestALabelledDay(t *testing.T) {
	if testing.Short() {
		t.Skip("two days of records take some seconds")
	}
	b, labels := liveDay(t)
	midnight := noon.Add(-12 * time.Hour)
	var out []*outcome
	of := map[string]*outcome{}
	for _, a := range labels {
		if of[a.label] == nil {
			of[a.label] = &outcome{label: a.label}
			out = append(out, of[a.label])
		}
		of[a.label].acts++
	}
	hit := map[int]bool{}
	outage := outcome{label: "a rollout that denies everybody for five minutes"}
	var unasked []string
	training := 0
	for _, f := range b.found {
		at := time.Unix(0, f.Time).UTC()
		sec := int(at.Sub(midnight) / time.Second)
		if sec < 0 {
			if f.Change == detect.Opened {
				training++
			}
			continue
		}
		if f.Suspect {
			if f.Change == detect.Opened {
				outage.found++
			}
			continue
		}
		if sec >= clock(20, 0) && sec < clock(20, 7) && f.Candidate {
			outage.more++
			continue
		}
		mine := -1
		for i, a := range labels {
			if f.SubjectID == a.agent && sec >= a.from && sec < a.from+a.secs+60 && (mine < 0 || a.want == f.Detector) {
				mine = i
			}
		}
		if (mine < 0 || labels[mine].want == harmless) && f.Candidate && f.Threat.Rank() >= threat.High.Rank() {
			t.Errorf("%s would be quarantined at %s for %s", f.SubjectID, at.Format(time.TimeOnly), f.Detector)
		}
		switch {
		case mine >= 0 && labels[mine].want == f.Detector:
			hit[mine] = true
		case f.Change != detect.Opened:
		case mine >= 0 && labels[mine].want == harmless:
			of[labels[mine].label].more++
		case mine < 0 && !(sec >= clock(20, 0) && sec < clock(20, 7)):
			unasked = append(unasked, fmt.Sprintf("%s %s %s %s", at.Format("15:04:05"), f.SubjectID, f.Detector, f.Severity()))
		}
	}
	for i, a := range labels {
		switch {
		case a.want == harmless:
		case hit[i]:
			of[a.label].found++
		default:
			of[a.label].missed++
		}
	}
	var table strings.Builder
	fmt.Fprintln(&table, "| what happens | times | found | missed | false alarms |\n|---|---|---|---|---|")
	for _, o := range out {
		if strings.HasPrefix(o.label, "a job") || strings.HasPrefix(o.label, "an agent") || strings.HasPrefix(o.label, "a nightly") ||
			strings.HasPrefix(o.label, "a release") {
			fmt.Fprintf(&table, "| harmless: %s | %d | | | %d |\n", o.label, o.acts, o.more)
		} else {
			fmt.Fprintf(&table, "| %s | %d | %d | %d | |\n", o.label, o.acts, o.found, o.missed)
		}
	}
	fmt.Fprintf(&table, "| %s | 1 | %d detectors suspect the policy | | %d subjects for quarantine |\n", outage.label, outage.found, outage.more)
	fmt.Fprintf(&table, "| the work of 108 agents, %d decisions in two days | | | | %d |\n", b.w.Stats().Records, len(unasked)+training)
	t.Log("the day:\n" + table.String())
	for _, u := range unasked {
		t.Log("unasked: ", u)
	}
	if outage.more != 0 || outage.found != 2 {
		t.Errorf("the rollout: %d detectors suspect the policy, %d subjects for quarantine, want 2 and 0", outage.found, outage.more)
	}
	doc, err := os.ReadFile("../../docs/detection.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), table.String()) {
		t.Errorf("docs/detection.md does not hold the day as it is now:\n%s", table.String())
	}
}
