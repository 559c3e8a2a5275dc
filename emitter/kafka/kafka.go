package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"thymus/emitter/sink"
)

// Sink delivers to one topic. It implements sink.Sink and sink.Chainer.
type Sink struct {
	o           Options
	acks        kafka.RequiredAcks
	compression kafka.Compression
	compress    func(dst, src []byte) ([]byte, error)
	addr        net.Addr
	source      string
	encoders    sync.Pool

	mu      sync.Mutex
	client  *client // nil: to be made
	renewed time.Time
	closed  bool
}

// client is a kafka-go client and how many calls are using it. A call that begins after the connections were closed opens
// others, and a goroutine of kafka-go with them that asks for metadata until the process ends: the last call of a client
// that was given up closes them once more.
type client struct {
	*kafka.Client
	users int
	left  bool
}

func (c *client) close() { c.Transport.(*kafka.Transport).CloseIdleConnections() }

// New makes a sink. It connects to nobody: that no broker answers is no reason not to start. *OptionError where an
// option cannot be, files included.
func New(o Options) (*Sink, error) {
	switch {
	case len(o.Brokers) == 0:
		return nil, &OptionError{"brokers", errors.New("none named")}
	case o.Topic == "":
		return nil, &OptionError{"topic", errors.New("none named")}
	}
	if o.MetadataAge == 0 {
		o.MetadataAge = 2 * time.Second
	}
	s := &Sink{o: o, addr: kafka.TCP(o.Brokers...), source: "/thymus/" + o.Instance + "/"}
	var err error
	if s.acks, err = o.acks(); err != nil {
		return nil, err
	}
	if s.compression, err = o.compression(); err != nil {
		return nil, err
	}
	if s.compress, err = compressor(s.compression); err != nil {
		return nil, &OptionError{"compression", err}
	}
	if _, err := s.transport(); err != nil {
		return nil, err
	}
	s.encoders.New = func() any { return &encoder{prefix: s.source} }
	return s, nil
}

// ChainTopic is where the heads of the journal's chain go.
func (s *Sink) ChainTopic() string { return s.o.Topic + ".chain" }

// Name is "kafka".
func (s *Sink) Name() string { return "kafka" }

func (s *Sink) transport() (*kafka.Transport, error) {
	tls, err := s.o.TLS.config()
	if err != nil {
		return nil, err
	}
	auth, err := s.o.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	return &kafka.Transport{
		Dial:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		DialTimeout:    5 * time.Second,
		IdleTimeout:    time.Minute,
		MetadataTTL:    s.o.MetadataAge,
		MetadataTopics: []string{s.o.Topic, s.ChainTopic()}, // else all of the cluster's
		ClientID:       "thymus",
		TLS:            tls,
		SASL:           auth,
	}, nil
}

var errClosed = errors.New("the sink is closed")

// conn is the client of the moment, which release gives back.
func (s *Sink) conn() (*client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if s.client == nil {
		t, err := s.transport()
		if err != nil {
			return nil, err
		}
		s.client, s.renewed = &client{Client: &kafka.Client{Addr: s.addr, Transport: t}}, time.Now()
	}
	s.client.users++
	return s.client, nil
}

func (s *Sink) release(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.users--; c.users == 0 && c.left {
		c.close()
	}
}

// forget gives up a client that failed, at most twice a second. kafka-go learns of new leaders only when its metadata
// has aged, and keeps what it knew of brokers that went away; a new client asks at once.
func (s *Sink) forget(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != c || time.Since(s.renewed) < 500*time.Millisecond {
		return
	}
	s.leave()
}

// leave gives up the client of the moment.
func (s *Sink) leave() {
	s.client.left = true
	s.client.close()
	s.client = nil
}

// Partitions asks how many there are. The answer may be as old as Options.MetadataAge.
func (s *Sink) Partitions(ctx context.Context) (int, error) { return s.partitions(ctx, s.o.Topic) }

func (s *Sink) partitions(ctx context.Context, topic string) (int, error) {
	c, err := s.conn()
	if err != nil {
		return 0, err
	}
	defer s.release(c)
	res, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	switch {
	case err != nil:
	case len(res.Topics) != 1:
		err = fmt.Errorf("metadata of %d topics, expected 1", len(res.Topics))
	case res.Topics[0].Error != nil:
		err = res.Topics[0].Error
	case len(res.Topics[0].Partitions) == 0:
		err = kafka.LeaderNotAvailable
	default:
		return len(res.Topics[0].Partitions), nil
	}
	s.forget(c)
	return 0, s.explain(topic, err)
}

// Partition is murmur2's, as in the Java client.
func (s *Sink) Partition(key []byte, n int) int { return partition(key, n) }

// Send produces a batch to a partition and awaits the acknowledgement.
func (s *Sink) Send(ctx context.Context, part int, batch []sink.Message) error {
	e := s.encoders.Get().(*encoder)
	set, err := e.batch(batch, int8(s.compression), s.compress)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	err = s.deliver(s.o.Topic, func(c *kafka.Client) (*kafka.ProduceResponse, error) {
		return c.RawProduce(ctx, &kafka.RawProduceRequest{
			Topic: s.o.Topic, Partition: part, RequiredAcks: s.acks, RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(set)},
		})
	})
	if err == nil {
		s.encoders.Put(e) // after a failure a connection may still be reading its memory
	}
	return err
}

// SendHead produces a checkpoint of the journal to the chain's topic: as it is, since one of 300 bytes is hardly smaller
// compressed, and the client would make a compressor of 1.4 MB for it.
func (s *Sink) SendHead(ctx context.Context, checkpoint []byte) error {
	n, err := s.partitions(ctx, s.ChainTopic())
	if err != nil {
		return err
	}
	key := []byte(s.o.Instance)
	return s.deliver(s.ChainTopic(), func(c *kafka.Client) (*kafka.ProduceResponse, error) {
		return c.Produce(ctx, &kafka.ProduceRequest{
			Topic: s.ChainTopic(), Partition: partition(key, n), RequiredAcks: s.acks,
			Records: kafka.NewRecordReader(kafka.Record{
				Time: time.Now(), Key: kafka.NewBytes(key), Value: kafka.NewBytes(checkpoint),
				Headers: []kafka.Header{{Key: "content-type", Value: []byte(contentType)}},
			}),
		})
	})
}

// deliver produces to a topic with the client of the moment, which it gives up if that fails.
func (s *Sink) deliver(topic string, produce func(*kafka.Client) (*kafka.ProduceResponse, error)) error {
	c, err := s.conn()
	if err != nil {
		return err
	}
	defer s.release(c)
	res, err := produce(c.Client)
	if err == nil && res != nil {
		err = res.Error
	}
	if err == nil {
		return nil
	}
	err = s.explain(topic, err)
	if refused := (*sink.RefusedError)(nil); !errors.As(err, &refused) {
		s.forget(c)
	}
	return err
}

// Close gives up the connections.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.client != nil {
		s.leave()
	}
	return nil
}
