package kafka

import (
	"runtime"

	"github.com/klauspost/compress/zstd"
	kafka "github.com/segmentio/kafka-go"
)

// zstdWindow is how far back matches may lie, in bytes: a hundred events, which is further than what they have in common
// repeats. A larger one costs more time, and finds farther, and so longer, references to the same.
const zstdWindow = 64 << 10

// compressor is how the records of a batch are compressed; nil for not at all. It may be called by several goroutines.
func compressor(c kafka.Compression) (func(dst, src []byte) ([]byte, error), error) {
	switch c {
	case 0:
		return nil, nil
	case kafka.Zstd:
		// Kafka's records have a checksum already. The fastest level finds more here than the next one does: what repeats
		// in events lies near.
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(min(runtime.GOMAXPROCS(0), 4)))
		if err != nil {
			return nil, err
		}
		return func(dst, src []byte) ([]byte, error) { return z.EncodeAll(src, dst), nil }, nil
	}
	codec := c.Codec()
	return func(dst, src []byte) ([]byte, error) {
		a := appender{dst}
		w := codec.NewWriter(&a)
		_, err := w.Write(src)
		if e := w.Close(); err == nil {
			err = e
		}
		return a.b, err
	}, nil
}

// appender collects what is written to it.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
