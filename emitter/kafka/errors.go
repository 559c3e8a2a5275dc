package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"

	kafka "github.com/segmentio/kafka-go"

	"thymus/emitter/sink"
)

// explain puts a failure into an operator's words, and marks what no broker will ever take.
func (s *Sink) explain(topic string, err error) error {
	var code kafka.Error
	switch {
	case !errors.As(err, &code):
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("kafka: no answer from %s in time: %w", s.addr, err)
		}
		if s.o.SASL.Username != "" && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
			return fmt.Errorf("kafka: the broker hung up; perhaps authentication as %q failed: %w", s.o.SASL.Username, err)
		}
		return fmt.Errorf("kafka: %w", err)
	case code == kafka.MessageSizeTooLarge, code == kafka.RecordListTooLarge, code == kafka.InvalidMessageSize,
		code == kafka.InvalidRecord, code == kafka.InvalidTimestamp:
		return &sink.RefusedError{Err: fmt.Errorf("kafka: topic %s: %w", topic, err)}
	case code == kafka.UnknownTopicOrPartition:
		return fmt.Errorf("kafka: topic %s does not exist; it has to be made by the operator: %w", topic, err)
	case code == kafka.InvalidTopic:
		return fmt.Errorf("kafka: topic %s: not a name that the brokers take: %w", topic, err)
	case code == kafka.TopicAuthorizationFailed, code == kafka.ClusterAuthorizationFailed:
		return fmt.Errorf("kafka: not authorised to write to topic %s: %w", topic, err)
	case code == kafka.SASLAuthenticationFailed, code == kafka.UnsupportedSASLMechanism:
		return fmt.Errorf("kafka: authentication as %q failed: %w", s.o.SASL.Username, err)
	case code == kafka.NotEnoughReplicas, code == kafka.NotEnoughReplicasAfterAppend:
		return fmt.Errorf("kafka: topic %s has too few replicas in sync for acks=all: %w", topic, err)
	}
	return fmt.Errorf("kafka: topic %s: %w", topic, err)
}
