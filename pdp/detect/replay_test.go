package detect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"thymus/emitter"
	"thymus/pdp"
	"thymus/pdp/detect"
)

// wild is a stretch of decisions in which everything happens: attacks, errors, rollouts, clocks that jump.
func wild(seed uint64, n int) []pdp.Record {
	rng := rand.New(rand.NewPCG(seed, 1))
	at, rev := noon.UnixNano(), 1
	out := make([]pdp.Record, 0, n)
	for i := range n {
		at += rng.Int64N(40_000_000)
		if rng.IntN(5000) == 0 {
			rev++
		}
		r := pdp.Record{
			Time: at - rng.Int64N(3_000_000), Eval: rng.Int64N(60_000), Row: -1, Effect: pdp.Allow,
			Flags: pdp.FlagAllowed | pdp.FlagResource, Revision: fmt.Sprint("rev", rev), SubjectType: "agent",
			SubjectID: fmt.Sprintf("agent-%d", int(rng.ExpFloat64()*8)), Action: fmt.Sprint("act", rng.IntN(4)),
			Resource: fmt.Sprint("r", rng.IntN(30)), ID: pdp.NewID(at/1e6, uint64(i), seed), Reason: "because",
		}
		if rng.IntN(2000) == 0 {
			r.Action = fmt.Sprint("rare", i)
		}
		if rng.IntN(3) == 0 {
			as(fmt.Sprint("role", rng.IntN(50)/49))(&r)
		}
		switch d := rng.IntN(100); {
		case d < 12:
			denied(&r)
		case d == 12:
			failed(pdp.FaultDeadline)(&r)
			r.Reason = "Evaluation error - denied: the deadline passed"
		case d == 13:
			failed(pdp.FaultInternal)(&r)
			r.Reason = "Evaluation error - denied: eval_conflict_error"
		case d == 14:
			denied(&r)
			r.Flags |= pdp.FlagQuarantined | pdp.FlagMatched
			r.Policy, r.Rule = "immune", "quarantine"
		case d == 15:
			r.Flags |= pdp.FlagPathDiffers | pdp.FlagInput
			r.Input = []byte(`{"context":{"path_differs":true}}`)
		}
		out = append(out, r)
	}
	return out
}

func findings(t *testing.T, watch func(func(*detect.Finding), *detect.Watcher)) string {
	t.Helper()
	c := detect.Default()
	c.FirstSeen.Known = time.Minute
	c.Decoys = []string{"r29"}
	w, err := detect.New(detect.Options{Config: c, Seed: [16]byte{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	watch(func(f *detect.Finding) {
		fmt.Fprintf(&b, "%d %s %s %s %s %s %s/%s %d %v %s %s\n", f.Time, f.Detector, f.Change, f.Incident, f.Type(), f.Severity(),
			f.SubjectType, f.SubjectID, f.Count, f.Candidate, f.Description, f.Metadata)
	}, w)
	return b.String()
}

// TestAReplayedJournalGivesTheSameFindings: what the pump's records gave, the lines of the journal give again.
func TestAReplayedJournalGivesTheSameFindings(t *testing.T) {
	for seed := range uint64(3) {
		recs := wild(seed, 30_000)
		live := findings(t, func(emit func(*detect.Finding), w *detect.Watcher) {
			for i := range recs {
				w.Observe(&recs[i], emit)
			}
		})
		enc := emitter.NewEncoder(func(uint32) *emitter.Rows { return nil }, nil)
		origin := emitter.NewOrigin("test", 1)
		again := findings(t, func(emit func(*detect.Finding), w *detect.Watcher) {
			var lines []byte
			for i := range recs {
				lines, _ = enc.Decision(lines[:0], &recs[i], origin, uint64(i))
				var r pdp.Record
				events := 0
				for line := range strings.SplitSeq(strings.TrimSuffix(string(lines), "\n"), "\n") {
					ok, err := detect.ReadEvaluated([]byte(line), &r)
					if err != nil {
						t.Fatal(err)
					}
					if ok {
						events++
						w.Observe(&r, emit)
					}
				}
				if events != 1 {
					t.Fatalf("%d records of one decision", events)
				}
			}
		})
		if n := strings.Count(live, "\n"); n < 100 {
			t.Fatalf("only %d findings: the test says nothing", n)
		}
		for _, d := range []detect.Detector{detect.RepeatedDenials, detect.Probing, detect.RoleChange, detect.FirstSeenAction,
			detect.Decoy, detect.PathConfusion, detect.ErrorSpike} {
			if !strings.Contains(live, " "+d.String()+" opened") {
				t.Errorf("%s found nothing: the test says nothing of it", d)
			}
		}
		if live != again {
			l, a := strings.Split(live, "\n"), strings.Split(again, "\n")
			for i := range l {
				if i >= len(a) || l[i] != a[i] {
					t.Fatalf("finding %d of %d and %d\nlive   %s\nagain  %s", i, len(l), len(a), l[i], a[min(i, len(a)-1)])
				}
			}
			t.Fatalf("%d findings live, %d again", len(l), len(a))
		}
	}
}
