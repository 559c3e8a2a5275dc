package kafka

import (
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/compress/snappy"
)

// zstdWindow is how far back matches may lie, in bytes: a hundred events, which is further than what they have in common
// repeats. A larger one costs more time, and finds farther, and so longer, references to the same.
const zstdWindow = 64 << 10

// compressor is how the records of a batch are compressed; nil for not at all. It may be called by several goroutines.
// Kafka's batches have a checksum, so that what a codec could add of its own is left out, as the Java client leaves it.
func compressor(c kafka.Compression) (func(dst, src []byte) ([]byte, error), error) {
	switch c {
	case 0:
		return nil, nil
	case kafka.Zstd:
		// The fastest level finds more here than the next one does: what repeats in events lies near.
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(min(runtime.GOMAXPROCS(0), 4)))
		if err != nil {
			return nil, err
		}
		return func(dst, src []byte) ([]byte, error) { return z.EncodeAll(src, dst), nil }, nil
	case kafka.Lz4:
		return lz4Frames(), nil
	case kafka.Snappy:
		return through(&snappy.Codec{Compression: snappy.FasterCompression}), nil
	}
	return through(c.Codec()), nil
}

// lz4Frames writes blocks of 64 KiB, as the Java client does: whoever reads them needs that much memory for one.
func lz4Frames() func(dst, src []byte) ([]byte, error) {
	var pool sync.Pool
	return func(dst, src []byte) ([]byte, error) {
		a := appender{dst}
		w, ok := pool.Get().(*lz4.Writer)
		if !ok {
			w = lz4.NewWriter(nil)
			if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)); err != nil {
				return nil, err
			}
		}
		w.Reset(&a)
		_, err := w.Write(src)
		if e := w.Close(); err == nil {
			err = e
		}
		w.Reset(nil)
		pool.Put(w)
		return a.b, err
	}
}

// through uses a codec of kafka-go, which is made for streams.
func through(c compress.Codec) func(dst, src []byte) ([]byte, error) {
	return func(dst, src []byte) ([]byte, error) {
		a := appender{dst}
		w := c.NewWriter(&a)
		_, err := w.Write(src)
		if e := w.Close(); err == nil {
			err = e
		}
		return a.b, err
	}
}

// appender collects what is written to it.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
