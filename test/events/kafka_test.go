package events_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/emitter/kafka"
	"thymus/test/harness"
)

const topic = "thymus.events"

// delivered waits until the sink has everything.
func (s *sidecar) delivered(patience time.Duration) map[string]float64 {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		m := s.settle()
		if m[`thymus_events_pending{sink="kafka"}`] == 0 && m[`thymus_events_journaled_total{sink="kafka"}`] > 0 {
			return m
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%v events still wait\n%s", m[`thymus_events_pending{sink="kafka"}`], s.Log())
		}
	}
}

// arrivals holds what is in Kafka against the journal: every line, byte for byte, under its key, in order per key at the
// first occurrence. It returns how many came twice.
func arrivals(t *testing.T, b *broker, h *home) (events, twice int) {
	t.Helper()
	at := map[string]int{}
	var lines []string
	r, err := journal.OpenReader(h.journal(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		var c journal.Chunk
		ok, err := r.Next(&c)
		if err != nil || c.Gap.Count() > 0 {
			t.Fatal(err, c.Gap)
		}
		if !ok {
			break
		}
		for _, l := range c.All {
			at[string(l)] = len(lines)
			lines = append(lines, string(l))
		}
	}
	seen, last, where := map[string]bool{}, map[string]int{}, map[string]string{}
	for _, m := range b.read(topic) {
		n, ours := at[m.value]
		if !ours {
			t.Fatalf("a value that is not in the journal: %s", m.value)
		}
		if seen[m.value] {
			twice++
			continue
		}
		seen[m.value] = true
		var head emitter.Head
		if !emitter.ParseHead([]byte(m.value), &head) || m.key != string(head.Key) {
			t.Fatalf("key %q of %s", m.key, m.value)
		}
		want := fmt.Sprintf("ce_specversion=1.0,ce_id=%s,ce_type=%s,ce_source=/thymus/test-1/%s,ce_time=", head.ID, head.Type, head.Source)
		if !strings.HasPrefix(m.headers, want) || !strings.HasSuffix(m.headers, ",content-type=application/json") {
			t.Fatalf("headers %s, want %s...", m.headers, want)
		}
		if before, ok := last[m.key]; ok && n < before {
			t.Fatalf("key %s: line %d of the journal came after line %d", m.key, n, before)
		}
		last[m.key] = n
		if p, ok := where[m.key]; ok && p != m.partition {
			t.Fatalf("key %s is in partitions %s and %s", m.key, p, m.partition)
		}
		where[m.key] = m.partition
	}
	if len(seen) != len(lines) {
		t.Errorf("%d of %d events are in Kafka", len(seen), len(lines))
	}
	return len(seen), twice
}

// pace asks for decisions at a rate until ctx ends, and returns how many were answered and what failed.
func (s *sidecar) pace(ctx context.Context, perSecond, workers int) (answered int, failed error) {
	var n, ok atomic.Int64
	var first atomic.Pointer[error]
	begun := time.Now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				k := n.Add(1)
				if wait := time.Until(begun.Add(time.Duration(k) * time.Second / time.Duration(perSecond))); wait > 0 {
					time.Sleep(wait)
				}
				if _, err := s.evaluate(body(int(k))); err != nil {
					first.CompareAndSwap(nil, &err)
				} else {
					ok.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if err := first.Load(); err != nil {
		failed = *err
	}
	return int(ok.Load()), failed
}

// A real Apache Kafka gets every event, and kcat reads there what is in the journal.
func TestRealKafka(t *testing.T) {
	b := newBroker(t)
	b.start()
	b.topic(topic, 6)
	b.topic(topic+".chain", 1)
	h := newHome(t, "THYMUS_EVENTS_KAFKA_BROKERS="+b.addr)

	t.Run("gets every event", func(t *testing.T) {
		s := h.start(t)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		answered := len(s.load(ctx, 4))
		m := s.delivered(time.Minute)
		if err := equations(m); err != nil {
			t.Error(err)
		}
		s.Stop()
		events, twice := arrivals(t, b, h)
		t.Logf("%d decisions, %d events, %d came twice", answered, events, twice)
		if answered == 0 || events < answered || twice != 0 {
			t.Errorf("%d decisions, %d events, %d came twice", answered, events, twice)
		}
		if heads := b.read(topic + ".chain"); len(heads) == 0 || heads[0].key != "test-1" || !strings.Contains(heads[0].value, `"head":`) {
			t.Errorf("heads of the chain: %+v", heads)
		}
	})
	t.Run("gets every event of a sidecar that is killed while it ships", func(t *testing.T) {
		for range 4 {
			s := h.start(t)
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(300*time.Millisecond, func() { s.Kill(); cancel() })
			s.load(ctx, 4)
		}
		s := h.start(t)
		if err := equations(s.delivered(time.Minute)); err != nil {
			t.Error(err)
		}
		s.Stop()
		events, twice := arrivals(t, b, h)
		t.Logf("%d events, %d came twice", events, twice)
	})
}

// The broker dies and comes back while decisions go on: none fails, none is lost. 3 seconds; THYMUS_LONG=1 makes it 30,
// at 5,000 events a second.
func TestRealKafkaOutage(t *testing.T) {
	b := newBroker(t)
	b.start()
	b.topic(topic, 6)
	b.topic(topic+".chain", 1)
	away, rate := 3*time.Second, 1000
	if os.Getenv("THYMUS_LONG") == "1" {
		away, rate = 30*time.Second, 3600 // of five decisions two are denied: 1.4 events each
	}
	h := newHome(t, "THYMUS_EVENTS_KAFKA_BROKERS="+b.addr)
	s := h.start(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var answered int
	var failed error
	go func() {
		defer close(done)
		answered, failed = s.pace(ctx, rate, 16)
	}()
	said := func(what string) (n int) {
		for line := range strings.Lines(s.Log()) {
			if strings.Contains(line, what) && !strings.Contains(line, "chain heads") { // they hold nothing up
				n++
			}
		}
		return n
	}
	harness.Eventually(t, time.Minute, "all is well: a topic that was just made may have no leader", func() bool {
		return s.metrics()[`thymus_events_delivered_total{sink="kafka"}`] >= 1000 && said("events are not delivered") == said("events are delivered again")
	})
	time.Sleep(1500 * time.Millisecond) // troubles within a second of each other are one
	before := said("events are not delivered")
	b.kill()
	died := time.Now()
	time.Sleep(away)
	behind := s.metrics()[`thymus_events_pending{sink="kafka"}`]
	b.start()
	out := time.Since(died)
	time.Sleep(time.Second)
	cancel()
	<-done
	if failed != nil {
		t.Errorf("a decision failed: %v", failed)
	}
	back := time.Now()
	m := s.delivered(60 * time.Second)
	caught := time.Since(back)
	if err := equations(m); err != nil {
		t.Error(err)
	}
	if n := said("events are not delivered") - before; n < 1 || n > 2+int(time.Since(died)/time.Minute) { // once a minute while it lasts
		t.Errorf("the outage was said %d times\n%s", n, s.Log())
	}
	s.Stop()
	events, twice := arrivals(t, b, h)
	t.Logf("%v without a broker at %d decisions/s: %d answered, %d events, %.0f behind when it came back, caught up %v after the load ended, %d came twice, 0 lost",
		out.Round(time.Second), rate, answered, events, behind, caught.Round(time.Millisecond), twice)
	if behind == 0 || events < answered {
		t.Errorf("%d decisions, %d events; %v were behind", answered, events, behind)
	}
}

// librdkafka, asked to partition as the Java client does, puts each key where we do.
func TestRealKafkaPartitionerAgrees(t *testing.T) {
	b := newBroker(t)
	b.start()
	b.topic("keys", 7)
	ours, err := kafka.New(kafka.Options{Brokers: []string{b.addr}, Topic: "keys"})
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	var in strings.Builder
	for n := range 500 {
		fmt.Fprintf(&in, "agent-%d-%s:v\n", n, strings.Repeat("é", n%9))
	}
	cmd := exec.Command("kcat", "-b", b.addr, "-P", "-t", "keys", "-K", ":", "-X", "topic.partitioner=murmur2")
	cmd.Stdin = strings.NewReader(in.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kcat: %v\n%s", err, out)
	}
	got := b.read("keys")
	for _, m := range got {
		if p := strconv.Itoa(ours.Partition([]byte(m.key), 7)); p != m.partition {
			t.Errorf("key %q: ours is %s, librdkafka's %s", m.key, p, m.partition)
		}
	}
	if len(got) != 500 {
		t.Errorf("%d keys arrived, want 500", len(got))
	}
}

// A replay sends what the journal has once more, with the ids and keys of the first time, and touches no account.
func TestRealKafkaReplay(t *testing.T) {
	b := newBroker(t)
	b.start()
	b.topic(topic, 3)
	b.topic(topic+".chain", 1)
	h := newHome(t, "THYMUS_EVENTS_KAFKA_BROKERS="+b.addr)
	s := h.start(t)
	for n := range 50 {
		if _, err := s.evaluate(body(n)); err != nil {
			t.Fatal(err)
		}
	}
	before := s.delivered(time.Minute)
	for _, args := range [][]string{{"--from", "1"}, {"--from", "61"}, {"--type", "policy.denied"}} {
		if out, code := h.run(t, append([]string{"events", "replay", "--to", "kafka"}, args...)...); code != 0 {
			t.Fatalf("exit %d: %s", code, out)
		}
	}
	if after := s.metrics(); after[`thymus_events_delivered_total{sink="kafka"}`] != before[`thymus_events_delivered_total{sink="kafka"}`] {
		t.Error("a replay moved the account")
	}
	s.Stop()
	if events, twice := arrivals(t, b, h); events != 70 || twice != 70+10+20 {
		t.Errorf("%d events, %d came twice; want 70 and 100", events, twice)
	}
}
