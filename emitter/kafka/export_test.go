package kafka

import (
	"context"

	kafka "github.com/segmentio/kafka-go"

	"thymus/emitter/sink"
)

// BatchForTest gives a function that encodes batches as Send does, in the same memory each time.
func BatchForTest(instance, compression string) (func([]sink.Message) ([]byte, error), error) {
	o := Options{Compression: compression}
	c, err := o.compression()
	if err != nil {
		return nil, err
	}
	compress, err := compressor(c)
	e := &encoder{prefix: "/thymus/" + instance + "/"}
	return func(msgs []sink.Message) ([]byte, error) { return e.batch(msgs, int8(c), compress) }, err
}

// CodecForTest is kafka-go's of that name.
func CodecForTest(compression string) (kafka.Compression, error) {
	return (&Options{Compression: compression}).compression()
}

// CallForTest asks for metadata with the client of the moment, as each call does, and calls between when it has it.
func (s *Sink) CallForTest(ctx context.Context, between func()) error {
	c, err := s.conn()
	if err != nil {
		return err
	}
	defer s.release(c)
	between()
	_, err = c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{s.o.Topic}})
	return err
}
