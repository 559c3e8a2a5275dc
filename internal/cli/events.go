package cli

import (
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/internal/config"
)

// eventsCommand gathers what there is to do with a journal. None of it needs a server, and all of it may run beside one.
func eventsCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Read, verify and replay the journal of events",
		Args:  func(cmd *cobra.Command, args []string) error { return unknownCommand(cmd, args) },
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tailCommand(std), verifyCommand(std), replayCommand(std), statsCommand(std))
	return cmd
}

// journalSource says which journal a command means.
type journalSource struct {
	*configSource
	path string
}

func journalFlags(cmd *cobra.Command) *journalSource {
	s := &journalSource{configSource: configFlags(cmd, false)}
	cmd.Flags().StringVar(&s.path, "journal", "", "the journal's `folder`; default events.journal.path of the configuration")
	return s
}

// load is the journal's folder and the configuration that names it.
func (s *journalSource) load(std Stdio) (dir string, cfg *config.Config, err error) {
	cfg, err = s.configSource.load(std, nil, false)
	switch {
	case err != nil:
		return "", nil, err
	case s.path != "":
		return s.path, cfg, nil
	}
	return journalDir(cfg), cfg, nil
}

func journalDir(cfg *config.Config) string {
	if cfg.Events.Journal.Path != "" {
		return cfg.Events.Journal.Path
	}
	return filepath.Join(cfg.Dir, "journal")
}

// filter is which events a command is about.
type filter struct {
	types []string
	agent string
}

func filterFlags(cmd *cobra.Command) *filter {
	f := &filter{}
	cmd.Flags().StringSliceVar(&f.types, "type", nil, "only events of these types, such as policy.denied or 'threat.*'")
	cmd.Flags().StringVar(&f.agent, "agent", "", "only events of this agent_id, as the journal has it")
	return f
}

func (f *filter) check() error {
	for _, t := range f.types {
		if _, err := path.Match(t, ""); err != nil {
			return fmt.Errorf("--type: %q is no pattern, expected one such as 'policy.*'", t)
		}
	}
	return nil
}

func (f *filter) keep(h *emitter.Head) bool {
	if f.agent != "" && string(h.Agent) != f.agent {
		return false
	}
	if len(f.types) == 0 {
		return true
	}
	for _, t := range f.types {
		if ok, err := path.Match(t, string(h.Type)); ok && err == nil {
			return true
		}
	}
	return false
}

// parseFrom reads where to begin: an event's number, a time, or how long ago.
func parseFrom(s string, now time.Time) (seq uint64, at time.Time, err error) {
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		return n, time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return 0, now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return 0, t, nil
		}
	}
	if whole, part, ok := strings.Cut(s, "."); ok { // the timestamp of an event
		h := emitter.Head{Timestamp: []byte(whole + "." + part)}
		if ns, ok := h.Nanoseconds(); ok {
			return 0, time.Unix(0, ns), nil
		}
	}
	return 0, time.Time{}, fmt.Errorf("%q: expected an event's number, a time such as 2025-01-31T12:00:00Z or 1735424567.89, or 1h for an hour ago", s)
}

// open opens a reader where from says; empty is the oldest event.
func openJournal(dir, from string) (*journal.Reader, error) {
	seq, at, err := uint64(0), time.Time{}, error(nil)
	if from != "" {
		if seq, at, err = parseFrom(from, time.Now()); err != nil {
			return nil, fmt.Errorf("--from %w", err)
		}
	}
	r, err := journal.OpenReader(dir, seq)
	if err != nil {
		return nil, err
	}
	if !at.IsZero() {
		if err := r.SeekTime(at.UnixNano()); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// progress is a line on a terminal that says how far a long command is; nothing elsewhere.
type progress struct {
	w    io.Writer
	last time.Time
	used bool
}

func newProgress(std Stdio) *progress {
	if !terminal(std.Err) {
		return &progress{}
	}
	return &progress{w: std.Err}
}

func (p *progress) say(format string, args ...any) {
	if now := time.Now(); p.w != nil && now.Sub(p.last) > 100*time.Millisecond {
		p.last, p.used = now, true
		fmt.Fprintf(p.w, "\r\033[K"+format, args...)
	}
}

func (p *progress) end() {
	if p.used {
		fmt.Fprint(p.w, "\r\033[K")
	}
}

// byteSize is a size for people.
func byteSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
