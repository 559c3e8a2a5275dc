package events_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/emitter/journal"
	"thymus/emitter/kafka"
	"thymus/emitter/sink"
	"thymus/test/harness"
)

// The shipper into a real Kafka on the same machine, from a journal that is full: what limits it. One iteration is
// 300,000 events of about 600 bytes into 6 partitions, acks=all. ours-ns/event and theirs-ns/event are what the shipper and
// the broker take of the processors, which other work on the machine changes less than it changes the time. A broker that
// has just begun compiles itself: the first of several counts tells of that, too.
//
//	go test -run - -bench ShipToRealKafka -benchtime 1x -count 3 ./test/events
func BenchmarkShipToRealKafka(b *testing.B) {
	br := newBroker(b)
	br.start()
	const events, each = 300000, 100
	for _, codec := range []string{"zstd", "lz4", "snappy", "none"} {
		b.Run(codec, func(b *testing.B) {
			var ours, theirs time.Duration
			name := fmt.Sprintf("bench.%s.%d", codec, time.Now().UnixNano())
			br.topic(name, 6)
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				dir := b.TempDir()
				j, _, err := journal.Open(journal.Options{Dir: dir, Fsync: journal.FsyncNever})
				if err != nil {
					b.Fatal(err)
				}
				var lines bytes.Buffer
				for n := 0; n < events; n += each {
					lines.Reset()
					for k := range each {
						fmt.Fprintf(&lines, `{"id":"evt_policy_1735424567890_%016x","type":"policy.evaluated","source":"policy_engine","target":null,`+
							`"timestamp":1735424567.890123,"payload":{"decision_id":"01940f5d-6a52-7123-8567-%012x","policy_revision":"1ba076132bee917d90f9a84e6753c3a5",`+
							`"surface":"native","agent_id":"agent-%d","subject_type":"agent","agent_role":"operator","action":"deploy_application","resource":"cluster/%d",`+
							`"result":{"allowed":true,"effect":"allow","matched_policy":"production","matched_rule":"operators","reason":"Allowed by rule 'Operators'"},`+
							`"evaluation_time_ms":0.012345,"evaluated_at":1735424567.890123},"meta":{"correlation_id":null,"version":"1.0"}}`+"\n",
							n+k, n+k, (n+k)%1000, k)
					}
					if err := j.Append(&journal.Batch{Lines: lines.Bytes(), Events: each}); err != nil {
						b.Fatal(err)
					}
				}
				k, err := kafka.New(kafka.Options{Brokers: []string{br.addr}, Topic: name, Instance: "bench", Compression: codec})
				if err != nil {
					b.Fatal(err)
				}
				s, err := sink.NewShipper(j, k, sink.Options{Linger: 10 * time.Millisecond, Heads: -1, Refused: filepath.Join(dir, "refused")})
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				before, broker := harness.CPUTime(b), ticks(b, br.cmd.Process.Pid)
				b.StartTimer()
				go func() { done <- s.Run(ctx) }()
				if err := s.Drain(ctx); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				ours += harness.CPUTime(b) - before
				theirs += time.Duration(ticks(b, br.cmd.Process.Pid)-broker) * 10 * time.Millisecond
				cancel()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				k.Close()
				j.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events)/float64(b.N), "ns/event")
			b.ReportMetric(float64(ours)/float64(events)/float64(b.N), "ours-ns/event")
			b.ReportMetric(float64(theirs)/float64(events)/float64(b.N), "theirs-ns/event")
		})
	}
}

// The binary at full load on loopback with a real Kafka beside it, client, sidecar and broker on the same cores: how
// many decisions a second it answers, how many events a second arrive, and how far Kafka is behind at the end.
//
//	go test -run - -bench SustainedIntoRealKafka -benchtime 1x -count 3 ./test/events
func BenchmarkSustainedIntoRealKafka(b *testing.B) {
	br := newBroker(b)
	br.start()
	br.topic(topic, 6)
	h := newHome(b, "THYMUS_EVENTS_KAFKA_BROKERS="+br.addr, "THYMUS_EVENTS_RING_SIZE=32MiB")
	s := h.start(b)
	client := &fasthttp.Client{MaxConnsPerHost: 64, NoDefaultUserAgentHeader: true}
	const span = 10 * time.Second
	for b.Loop() {
		before := s.metrics()[`thymus_events_delivered_total{sink="kafka"}`]
		begun := time.Now()
		n := ask(b, client, "http://"+s.data+"/v1/evaluate", span)
		took := time.Since(begun).Seconds()
		m := s.metrics()
		b.ReportMetric(float64(n)/took, "decisions/s")
		b.ReportMetric((m[`thymus_events_delivered_total{sink="kafka"}`]-before)/took, "delivered/s")
		b.ReportMetric(m[`thymus_events_pending{sink="kafka"}`], "behind")
		if err := equations(s.delivered(time.Minute)); err != nil {
			b.Error(err)
		}
	}
}
