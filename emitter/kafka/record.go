package kafka

import (
	"io"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"thymus/emitter/sink"
)

const contentType = "application/json"

// The headers of an event: CloudEvents 1.0, Kafka protocol binding, binary content mode.
const (
	headSpec = iota
	headID
	headType
	headSource
	headTime
	headContent
	heads
)

var headNames = [heads]string{"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type"}

// records gives a batch's messages to the client's encoder, one after another in the same memory: the encoder is done
// with a record before it asks for the next.
type records struct {
	prefix  string // of ce_source
	msgs    []sink.Message
	next    int
	rec     kafka.Record
	key     payload
	value   payload
	headers [heads]kafka.Header
	source  []byte
	time    []byte
}

func (r *records) reset(msgs []sink.Message) { r.msgs, r.next = msgs, 0 }

// ReadRecord gives the next record, io.EOF behind the last.
func (r *records) ReadRecord() (*kafka.Record, error) {
	if r.next >= len(r.msgs) {
		return nil, io.EOF
	}
	m := &r.msgs[r.next]
	r.next++
	r.key.b, r.value.b = m.Head.Key, m.Value
	if r.headers[headSpec].Key == "" {
		for i, n := range headNames {
			r.headers[i].Key = n
		}
		r.headers[headSpec].Value, r.headers[headContent].Value = []byte("1.0"), []byte(contentType)
	}
	r.headers[headID].Value, r.headers[headType].Value = m.Head.ID, m.Head.Type
	r.source = append(append(r.source[:0], r.prefix...), m.Head.Source...)
	r.headers[headSource].Value = r.source
	var at time.Time
	if ns, ok := m.Head.Nanoseconds(); ok {
		at = time.Unix(0, ns).UTC()
	}
	r.time = at.AppendFormat(r.time[:0], "2006-01-02T15:04:05.000000Z")
	r.headers[headTime].Value = r.time
	r.rec = kafka.Record{Time: at, Key: &r.key, Value: &r.value, Headers: r.headers[:]}
	return &r.rec, nil
}

// payload is bytes that the encoder copies without a buffer between.
type payload struct{ b []byte }

func (p *payload) Len() int     { return len(p.b) }
func (p *payload) Close() error { return nil }

func (p *payload) Read(dst []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(dst, p.b)
	p.b = p.b[n:]
	return n, nil
}

// WriteTo is what io.Copy prefers.
func (p *payload) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(p.b)
	p.b = p.b[n:]
	return int64(n), err
}
