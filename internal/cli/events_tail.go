package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"thymus/emitter"
	"thymus/emitter/journal"
)

func tailCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print the newest events, and with --follow those that come",
		Long: `Print the newest events, a JSON object a line, as they are in the journal and on Kafka. With --follow it goes on
with those that come, until interrupted.`,
		Args: cobra.NoArgs,
	}
	source, which := journalFlags(cmd), filterFlags(cmd)
	var last int
	var follow bool
	cmd.Flags().IntVarP(&last, "last", "n", 10, "how many of the newest; 0 is none, -1 is all")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with the events that come")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, _, err := source.load(std)
		if err != nil {
			return err
		}
		if err := which.check(); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		out := bufio.NewWriter(std.Out)
		r, err := tail(dir, last, which, out)
		if err != nil {
			return err
		}
		defer r.Close()
		for follow {
			if err := out.Flush(); err != nil {
				return err
			}
			if err := r.Wait(ctx); err != nil {
				break
			}
			if err := pass(r, which, func(line []byte) { out.Write(append(line, '\n')) }, std); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	return cmd
}

// tail prints the last n events that are wanted and returns a reader that stands behind them. It looks back further
// and further until it has found n, so that it reads little of a large journal.
func tail(dir string, n int, which *filter, out *bufio.Writer) (*journal.Reader, error) {
	oldest, next, err := extent(dir)
	if err != nil {
		return nil, err
	}
	back := uint64(max(n, 0))
	for {
		from := oldest
		if n >= 0 && next-oldest > back {
			from = next - back
		}
		r, err := journal.OpenReader(dir, max(from, 1))
		if err != nil {
			return nil, err
		}
		var found [][]byte
		write := func(line []byte) { found = append(found, append([]byte(nil), line...)) }
		if n < 0 {
			write = func(line []byte) { out.Write(append(line, '\n')) }
		}
		if err := pass(r, which, write, Stdio{}); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		if n >= 0 && len(found) < n && from > oldest {
			back *= 8
			if err := r.Close(); err != nil {
				return nil, err
			}
			continue
		}
		for _, line := range found[max(0, len(found)-max(n, 0)):] {
			out.Write(append(line, '\n'))
		}
		return r, nil
	}
}

// extent is the number of the oldest event and the one behind the newest.
func extent(dir string) (oldest, next uint64, err error) {
	r, err := journal.OpenReader(dir, 0)
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	oldest = r.Seq()
	if err := r.SeekTime(int64(^uint64(0) >> 1)); err != nil {
		return 0, 0, err
	}
	for {
		var c journal.Chunk
		ok, err := r.Next(&c)
		if err != nil || !ok {
			return oldest, r.Seq(), err
		}
	}
}

// pass gives what a reader has of the wanted events to f; lines are lent. Gaps are told on std.Err, if there is one.
func pass(r *journal.Reader, which *filter, f func(line []byte), std Stdio) error {
	var c journal.Chunk
	var h emitter.Head
	for {
		ok, err := r.Next(&c)
		if err != nil || !ok {
			return err
		}
		if c.Gap.Count() > 0 && std.Err != nil {
			fmt.Fprintf(std.Err, "thymus: events %d to %d are not there: %s\n", c.Gap.From, c.Gap.To-1, c.Gap.Why)
		}
		for _, line := range c.All {
			if emitter.ParseHead(line, &h) && which.keep(&h) {
				f(line[:len(line):len(line)])
			}
		}
	}
}
