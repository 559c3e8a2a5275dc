package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/internal/config"
	"thymus/pdp"
	"thymus/pdp/detect"
	"thymus/pdp/immune"
	"thymus/pdp/threat"
)

func detectCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "detect",
		Short: "Run the detectors over the journal's past days and print what they would have found",
		Long: `Run the detectors of the configuration over the decisions in the journal, and print what they would have found and
whom self-protection would have quarantined. Nothing is changed, and it may run beside the server: try thresholds with
--set detect.probing.threshold=6 before immune.mode is protect.

Path confusion is seen only where events hold the input (events.input); pressure, dry runs and releases from quarantine
are in no event of a decision.`,
		Args: cobra.NoArgs,
	}
	source, out := journalFlags(cmd), outputFlag(cmd)
	var from, to string
	cmd.Flags().StringVar(&from, "from", "", "`where` to begin: an event's number, a time, or how long ago (24h); default the oldest")
	cmd.Flags().StringVar(&to, "to", "", "`where` to end: an event's number, a time, or how long ago; default the newest")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, cfg, err := source.load(std)
		if err != nil {
			return err
		}
		p, err := newPast(cfg)
		if err != nil {
			return err
		}
		if to != "" {
			if p.toSeq, p.toTime, err = parseFrom(to, time.Now()); err != nil {
				return fmt.Errorf("--to %w", err)
			}
		}
		if from != "" { // a reader begins with a batch, which may begin earlier
			if _, p.fromTime, err = parseFrom(from, time.Now()); err != nil {
				return fmt.Errorf("--from %w", err)
			}
		}
		if err := p.read(std, dir, from); err != nil {
			return err
		}
		doc := p.document()
		if out.json() {
			return writeJSON(std.Out, doc)
		}
		return doc.print(std.Out)
	}
	return cmd
}

// detectConfig is what the configuration says to the detectors.
func detectConfig(c *config.Detect) detect.Config {
	threshold := func(t config.Threshold) detect.Threshold {
		return detect.Threshold{Enabled: t.Enabled, Window: t.Window, At: t.At, Severity: threat.Severity(t.Severity)}
	}
	return detect.Config{
		Denials: detect.Denials{
			Enabled: c.Denials.Enabled, Window: c.Denials.Window, Medium: c.Denials.Medium, High: c.Denials.High,
			Critical: c.Denials.Critical,
		},
		Probing: threshold(c.Probing), RoleChange: threshold(c.RoleChange), PathConfusion: threshold(c.PathConfusion),
		SlowProbing: detect.SlowProbing{
			Enabled: c.SlowProbing.Enabled, Window: c.SlowProbing.Window, At: c.SlowProbing.At, Percent: c.SlowProbing.Percent,
			Severity: threat.Severity(c.SlowProbing.Severity),
		},
		Rate: detect.Rate{
			Enabled: c.Rate.Enabled, Window: c.Rate.Window, Deviations: c.Rate.Deviations, Warmup: c.Rate.Warmup,
			Severity: threat.Severity(c.Rate.Severity),
		},
		FirstSeen: detect.FirstSeen{
			Enabled: c.FirstSeen.Enabled, Known: c.FirstSeen.Known, Severity: threat.Severity(c.FirstSeen.Severity),
		},
		Errors: detect.Errors{
			Enabled: c.Errors.Enabled, Window: c.Errors.Window, At: c.Errors.At, Severity: immune.Severity(c.Errors.Severity),
		},
		Latency: detect.Latency{
			Enabled: c.Latency.Enabled, Window: c.Latency.Window, Factor: c.Latency.Factor,
			Severity: immune.Severity(c.Latency.Severity),
		},
		Pressure: detect.Pressure{
			Enabled: c.Pressure.Enabled, Ring: c.Pressure.Ring, Disk: c.Pressure.Disk,
			Severity: immune.Severity(c.Pressure.Severity),
		},
		Fleet:  detect.Fleet{Window: c.Fleet.Window, Percent: c.Fleet.Percent, AtLeast: c.Fleet.AtLeast},
		Decoys: c.Decoys, Subjects: c.Subjects, Quiet: c.Quiet,
	}
}

// past runs the detectors over a journal.
type past struct {
	w         *detect.Watcher
	cfg       *config.Immune
	toSeq     uint64
	fromTime  time.Time
	toTime    time.Time
	records   uint64
	missing   uint64
	bad       uint64
	first     int64
	last      int64
	incidents map[string]*incidentDocument
	order     []*incidentDocument
}

func newPast(cfg *config.Config) (*past, error) {
	w, err := detect.New(detect.Options{Config: detectConfig(&cfg.Detect)})
	if err != nil {
		return nil, err
	}
	return &past{w: w, cfg: &cfg.Immune, incidents: map[string]*incidentDocument{}}, nil
}

func (p *past) read(std Stdio, dir, from string) error {
	r, err := openJournal(dir, from)
	if err != nil {
		return err
	}
	defer r.Close()
	bar := newProgress(std)
	defer bar.end()
	var c journal.Chunk
	var h emitter.Head
	var rec pdp.Record
	for {
		ok, err := r.Next(&c)
		if err != nil || !ok {
			return err
		}
		if c.Gap.Count() > 0 {
			p.missing += c.Gap.Count()
			bar.end()
			fmt.Fprintf(std.Err, "thymus: events %d to %d are not there: %s\n", c.Gap.From, c.Gap.To-1, c.Gap.Why)
		}
		for seq, line := range c.All {
			if p.toSeq != 0 && seq >= p.toSeq {
				return nil
			}
			if !emitter.ParseHead(line, &h) {
				p.bad++
				continue
			}
			if string(h.Type) != emitter.TypeEvaluated {
				continue
			}
			if is, err := detect.ReadEvaluated(line, &rec); err != nil || !is {
				p.bad++
				continue
			}
			if !p.toTime.IsZero() && rec.Time >= p.toTime.UnixNano() {
				return nil
			}
			if !p.fromTime.IsZero() && rec.Time < p.fromTime.UnixNano() {
				continue
			}
			if p.records++; p.first == 0 {
				p.first = rec.Time
			}
			p.last = rec.Time
			p.w.Observe(&rec, p.found)
		}
		bar.say("%d decisions, %d incidents", p.records, len(p.order))
	}
}
