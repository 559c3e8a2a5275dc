package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"thymus/emitter/sink"
	"thymus/internal/config"
)

func replayCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Send events of the journal once more, with the ids of the first time",
		Long: `Send events of the journal once more, to the Kafka of the configuration or to standard output. Ids, keys and
order per key are those of the first time, so that consumers who know an id already can pass it over. The server's own
position is not touched.`,
		Args: cobra.NoArgs,
	}
	source, which := journalFlags(cmd), filterFlags(cmd)
	var to, from string
	cmd.Flags().StringVar(&to, "to", "", "kafka or stdout")
	cmd.Flags().StringVar(&from, "from", "", "`where` to begin: an event's number, a time, or how long ago (1h); default the oldest")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, cfg, err := source.load(std)
		if err != nil {
			return err
		}
		if err := which.check(); err != nil {
			return err
		}
		s, err := replaySink(std, cfg, to)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = replay(ctx, std, s, dir, from, which)
		return errors.Join(err, s.Close())
	}
	return cmd
}

func replaySink(std Stdio, cfg *config.Config, to string) (sink.Sink, error) {
	switch to {
	case "stdout":
		return sink.NewStdout(std.Out), nil
	case "kafka":
		if len(cfg.Events.Kafka.Brokers) == 0 {
			return nil, key("events.kafka.brokers", errors.New("none named, so there is nowhere to send to"))
		}
		instance, err := instanceName(cfg.Dir, cfg.Instance)
		if err != nil {
			return nil, err
		}
		s, err := newKafka(&cfg.Events.Kafka, instance)
		return s, key("events.kafka", err)
	}
	return nil, fmt.Errorf("--to: got %q, expected kafka or stdout", to)
}

func replay(ctx context.Context, std Stdio, s sink.Sink, dir, from string, which *filter) error {
	r, err := openJournal(dir, from)
	if err != nil {
		return err
	}
	defer r.Close()
	p := newProgress(std)
	said := time.Time{}
	done, err := sink.Replay(ctx, r, s, sink.ReplayOptions{
		Keep: which.keep,
		Trouble: func(err error) {
			if now := time.Now(); now.Sub(said) > 10*time.Second {
				said = now
				p.end()
				fmt.Fprintln(std.Err, "thymus: trying again:", err)
			}
		},
		Refused: func(m *sink.Message, err error) {
			p.end()
			fmt.Fprintf(std.Err, "thymus: event %d (%s) will never be taken: %v\n", m.Seq, m.Head.ID, err)
		},
		Progress: func(d sink.Replayed) { p.say("%d events sent, at %d", d.Sent, d.Next) },
	})
	p.end()
	fmt.Fprintf(std.Err, "thymus: %d events sent, %d refused, %d no longer held; next is %d\n", done.Sent, done.Refused, done.Missing, done.Next)
	if err == nil && done.Refused > 0 {
		return &exitError{code: exitNo}
	}
	return err
}
