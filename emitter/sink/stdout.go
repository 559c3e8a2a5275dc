package sink

import (
	"bufio"
	"context"
	"fmt"
	"io"
)

// Stdout is a sink with one partition that writes a line an event. It is what `thymus events replay --to stdout` uses,
// and the proof that a Shipper knows nothing of Kafka.
type Stdout struct {
	w    io.Writer
	name string
}

// NewStdout makes one that writes to w.
func NewStdout(w io.Writer) *Stdout { return &Stdout{w: w, name: "stdout"} }

// Name is "stdout".
func (s *Stdout) Name() string { return s.name }

// Partitions is 1.
func (s *Stdout) Partitions(context.Context) (int, error) { return 1, nil }

// Partition is 0.
func (s *Stdout) Partition([]byte, int) int { return 0 }

// Send writes the lines. A write that fails in the middle is tried again from the start, so that some lines may come
// twice.
func (s *Stdout) Send(_ context.Context, _ int, batch []Message) error {
	b := bufio.NewWriterSize(s.w, 64<<10)
	for i := range batch {
		b.Write(batch[i].Value) // the error stays with b
		b.WriteByte('\n')
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	return nil
}

// Close does nothing: the writer is the caller's.
func (s *Stdout) Close() error { return nil }
