package kafka_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"thymus/emitter"
	"thymus/emitter/kafka"
	"thymus/emitter/sink"
)

// event is a line whose payload is as long as pad says.
func event(id int, stamp, agent string, pad int) sink.Message {
	m := sink.Message{Seq: uint64(id), Value: fmt.Appendf(nil, `{"id":"evt_policy_1735424567890_%016x","type":"policy.evaluated","source":"policy_engine",`+
		`"target":null,"timestamp":%s,"payload":{"agent_id":"%s","pad":"%s"},"meta":{}}`, id, stamp, agent, strings.Repeat("x", pad))}
	emitter.ParseHead(m.Value, &m.Head)
	return m
}

// events are as different as the lengths and moments of a batch may be: each varint at each of its likely lengths, time
// that goes back, and what is no line of ours in between.
func events() (msgs []sink.Message) {
	for i, pad := range []int{0, 1, 20, 63, 64, 500, 8000, 8192, 60000} {
		msgs = append(msgs, event(i, "1735424567.890123", fmt.Sprintf("agent-%d", i), pad),
			event(100+i, fmt.Sprintf("17354245%d.000001", 67+i%3), "", pad),
			event(200+i, "1735424566.999999", strings.Repeat("é", pad/100), 3))
	}
	other := sink.Message{Value: []byte(`{"ours":false}`)}
	other.Head.Timestamp = []byte("1735424567")
	return append(msgs, other)
}

// theirs is what kafka-go makes of the same messages, uncompressed.
func theirs(t *testing.T, msgs []sink.Message) []byte {
	t.Helper()
	var recs []protocol.Record
	for i := range msgs {
		h := &msgs[i].Head
		ns, ok := h.Nanoseconds()
		if !ok {
			t.Fatalf("%q is no timestamp", h.Timestamp)
		}
		at := time.Unix(0, ns).UTC()
		recs = append(recs, protocol.Record{Time: at, Key: protocol.NewBytes(append([]byte{}, h.Key...)), Value: protocol.NewBytes(msgs[i].Value),
			Headers: []protocol.Header{{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: h.ID}, {Key: "ce_type", Value: h.Type},
				{Key: "ce_source", Value: []byte("/thymus/host-1/" + string(h.Source))}, {Key: "ce_time", Value: []byte(at.Format("2006-01-02T15:04:05.000000Z"))},
				{Key: "content-type", Value: []byte("application/json")}}})
	}
	var b bytes.Buffer
	set := protocol.RecordSet{Version: 2, Records: protocol.NewRecordReader(recs...)}
	if _, err := set.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The oracle is the client's own encoder, which shares no code with ours.
func TestBatchIsByteForByteWhatTheClientWouldHaveWritten(t *testing.T) {
	encode, err := kafka.BatchForTest("host-1", "none")
	if err != nil {
		t.Fatal(err)
	}
	msgs := events()
	for n := 1; n <= len(msgs); n++ { // the same memory each time
		got, err := encode(msgs[:n])
		if err != nil {
			t.Fatal(err)
		}
		if want := theirs(t, msgs[:n]); !bytes.Equal(got, want) {
			t.Fatalf("%d messages: %d bytes differ from the client's %d", n, len(got), len(want))
		}
	}
}

func TestCompressedBatchHoldsTheSameRecordsUnderItsCodec(t *testing.T) {
	msgs := events()
	want := theirs(t, msgs)[4+61:]
	for _, name := range []string{"gzip", "snappy", "lz4", "zstd"} {
		encode, err := kafka.BatchForTest("host-1", name)
		if err != nil {
			t.Fatal(err)
		}
		codec, err := kafka.CodecForTest(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			b, err := encode(msgs)
			if err != nil {
				t.Fatal(err)
			}
			if got := binary.BigEndian.Uint16(b[4+21:]); got != uint16(codec) {
				t.Errorf("%s: attributes %d, want %d", name, got, codec)
			}
			r := codec.Codec().NewReader(bytes.NewReader(b[4+61:]))
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes of records, %d expected: %v", name, len(got), len(want), err)
			}
			if len(b) >= len(want)/2 {
				t.Errorf("%s: %d bytes of %d are not compressed", name, len(b), len(want))
			}
			r.Close()
		}
	}
}

// typical are events as a sidecar under load writes them.
func typical(n int) []sink.Message {
	msgs := make([]sink.Message, n)
	for i := range msgs {
		msgs[i].Value = fmt.Appendf(nil, `{"id":"evt_policy_1735424567890_%016x","type":"policy.evaluated","source":"policy_engine","target":null,`+
			`"timestamp":1735424567.%06d,"payload":{"decision_id":"01940f5d-6a52-7123-8567-%012x","policy_revision":"1ba076132bee917d90f9a84e6753c3a5",`+
			`"surface":"native","agent_id":"agent-%d","subject_type":"agent","agent_role":"operator","action":"deploy_application","resource":"cluster/%d",`+
			`"result":{"allowed":true,"effect":"allow","matched_policy":"production","matched_rule":"operators","reason":"Allowed by rule 'Operators'"},`+
			`"evaluation_time_ms":0.%06d,"evaluated_at":1735424567.%06d},"meta":{"correlation_id":null,"version":"1.0"}}`,
			i*7919, i*13, i*104729, i%100, i%37, i*31, i*13)
		emitter.ParseHead(msgs[i].Value, &msgs[i].Head)
	}
	return msgs
}

func TestEncodingABatchAllocatesNothing(t *testing.T) {
	for _, name := range []string{"none", "zstd"} {
		encode, err := kafka.BatchForTest("host-1", name)
		if err != nil {
			t.Fatal(err)
		}
		msgs := typical(200)
		for range 16 { // the compressors of a sink take turns, and each grows at first
			if _, err := encode(msgs); err != nil {
				t.Fatal(err)
			}
		}
		least := math.Inf(1)
		for try := 0; try < 10 && least > 0; try++ { // what an earlier test left may allocate beside it
			least = min(least, testing.AllocsPerRun(10, func() {
				if _, err := encode(msgs); err != nil {
					t.Fatal(err)
				}
			}))
		}
		if least > 0 {
			t.Errorf("%s: %v allocations for a batch of %d", name, least, len(msgs))
		}
	}
}

// go test -run '^$' -bench EncodeBatch -benchmem -count 10 ./emitter/kafka | tee new.txt; benchstat old.txt new.txt
func BenchmarkEncodeBatch(b *testing.B) {
	msgs := typical(800)
	for _, name := range []string{"none", "lz4", "snappy", "zstd"} {
		b.Run(name, func(b *testing.B) {
			encode, err := kafka.BatchForTest("host-1", name)
			if err != nil {
				b.Fatal(err)
			}
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				out, err := encode(msgs)
				if err != nil {
					b.Fatal(err)
				}
				size = len(out)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(msgs)), "ns/event")
			b.ReportMetric(float64(size)/float64(len(msgs)), "bytes/event")
		})
	}
}
