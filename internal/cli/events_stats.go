package cli

import (
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"thymus/emitter"
	"thymus/emitter/journal"
)

func statsCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Count the journal's events by type",
		Args:  cobra.NoArgs,
	}
	source, out := journalFlags(cmd), outputFlag(cmd)
	var from string
	cmd.Flags().StringVar(&from, "from", "", "`where` to begin: an event's number, a time, or how long ago (1h); default the oldest")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, _, err := source.load(std)
		if err != nil {
			return err
		}
		st, err := journalStats(std, dir, from)
		if err != nil {
			return err
		}
		if out.json() {
			return writeJSON(std.Out, st)
		}
		return st.print(std)
	}
	return cmd
}

// typeStats is what a journal holds of one type, or of all.
type typeStats struct {
	Type    string `json:"type,omitempty"`
	Events  uint64 `json:"events"`
	Bytes   uint64 `json:"bytes"`
	Largest int    `json:"largest_bytes"`
}

func (t *typeStats) add(n int) {
	t.Events++
	t.Bytes += uint64(n)
	t.Largest = max(t.Largest, n)
}

type statsDocument struct {
	First     uint64      `json:"first"`
	Next      uint64      `json:"next"`
	Missing   uint64      `json:"missing"`
	FirstTime *time.Time  `json:"first_time"`
	LastTime  *time.Time  `json:"last_time"`
	Total     typeStats   `json:"total"`
	Types     []typeStats `json:"types"`
}

func journalStats(std Stdio, dir, from string) (*statsDocument, error) {
	r, err := openJournal(dir, from)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := newProgress(std)
	defer p.end()
	d := &statsDocument{First: r.Seq(), Types: []typeStats{}}
	types := map[string]*typeStats{}
	var c journal.Chunk
	var h emitter.Head
	for {
		ok, err := r.Next(&c)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		d.Missing += c.Gap.Count()
		for _, line := range c.All {
			if !emitter.ParseHead(line, &h) {
				h = emitter.Head{Type: []byte("(unreadable)")}
			}
			t := types[string(h.Type)]
			if t == nil {
				t = &typeStats{Type: string(h.Type)}
				types[t.Type] = t
			}
			t.add(len(line) + 1)
			d.Total.add(len(line) + 1)
			if ns, ok := h.Nanoseconds(); ok {
				at := time.Unix(0, ns).UTC()
				if d.FirstTime == nil || at.Before(*d.FirstTime) {
					d.FirstTime = &at
				}
				if d.LastTime == nil || at.After(*d.LastTime) {
					d.LastTime = &at
				}
			}
		}
		p.say("%d events, %s", d.Total.Events, byteSize(int64(d.Total.Bytes)))
	}
	d.Next = r.Seq()
	for _, t := range types {
		d.Types = append(d.Types, *t)
	}
	slices.SortFunc(d.Types, func(a, b typeStats) int {
		if a.Type < b.Type {
			return -1
		}
		return 1
	})
	return d, nil
}

func (d *statsDocument) print(std Stdio) error {
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "EVENTS\tBYTES\tMEAN\tLARGEST\t  TYPE")
	row := func(t *typeStats, name string) {
		mean := uint64(0)
		if t.Events > 0 {
			mean = t.Bytes / t.Events
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t  %s\n", t.Events, byteSize(int64(t.Bytes)), mean, t.Largest, name)
	}
	for i := range d.Types {
		row(&d.Types[i], d.Types[i].Type)
	}
	row(&d.Total, "all")
	if err := w.Flush(); err != nil {
		return err
	}
	span := "no events"
	if d.FirstTime != nil {
		span = fmt.Sprintf("events %d to %d, of %s to %s", d.First, d.Next-1, d.FirstTime.Format(time.RFC3339), d.LastTime.Format(time.RFC3339))
	}
	if d.Missing > 0 {
		span += fmt.Sprintf(", %d numbers are not there", d.Missing)
	}
	_, err := fmt.Fprintln(std.Out, span)
	return err
}
