package kafka_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"thymus/emitter/journal"
	"thymus/emitter/kafka"
	"thymus/emitter/sink"
)

const (
	topic = "thymus.events"
	chain = topic + ".chain"
	agent = 13 // keys
)

// rig is a journal, a fake cluster and a shipper between them.
type rig struct {
	t    *testing.T
	j    *journal.Journal
	dir  string
	c    *kfake.Cluster
	n    int
	said chan error
}

func cluster(t *testing.T, o ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, o...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newRig(t *testing.T, c *kfake.Cluster) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), c: c, said: make(chan error, 100)}
	var err error
	if r.j, _, err = journal.Open(journal.Options{Dir: r.dir, Fsync: journal.FsyncNever}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.j.Close() })
	return r
}

func (r *rig) append(count, pad int) {
	r.t.Helper()
	for count > 0 {
		var b strings.Builder
		k := min(count, 1+rand.N(100))
		for range k {
			fmt.Fprintf(&b, `{"id":"evt_policy_1735424567890_%016x","type":"policy.evaluated","source":"policy_engine","target":null,`+
				`"timestamp":1735424567.890123,"payload":{"agent_id":"agent-%d","n":%d,"pad":"%s"},"meta":{}}`+"\n",
				r.n, r.n%agent, r.n, strings.Repeat("x", pad))
			r.n++
		}
		count -= k
		if err := r.j.Append(&journal.Batch{Lines: []byte(b.String()), Events: k}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) options() kafka.Options {
	o := kafka.Options{Topic: topic, Instance: "host-1", MetadataAge: 100 * time.Millisecond}
	if r.c != nil {
		o.Brokers = r.c.ListenAddrs()
	}
	return o
}

func (r *rig) run(o kafka.Options, so sink.Options) (*sink.Shipper, func()) {
	r.t.Helper()
	k, err := kafka.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	so.RetryMin, so.RetryMax, so.Look, so.Linger = 2*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond, time.Millisecond
	so.Refused = filepath.Join(r.dir, "refused")
	so.Trouble = func(err error) {
		select {
		case r.said <- err:
		default:
		}
	}
	if so.Heads == 0 {
		so.Heads = -1
	}
	s, err := sink.NewShipper(r.j, k, so)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
		k.Close()
	}
}

func (r *rig) drain(s *sink.Shipper) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		r.t.Fatal(err, s.State())
	}
}

// consume reads a topic to its end, with a client of another make.
func (r *rig) consume(name string, want int, o ...kgo.Opt) (out []*kgo.Record) {
	r.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(r.c.ListenAddrs()...), kgo.ConsumeTopics(name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, o...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer cl.Close()
	distinct := map[string]bool{}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for len(distinct) < want && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(rec *kgo.Record) {
			out = append(out, rec)
			distinct[string(rec.Value)] = true
		})
	}
	return out
}

// check holds what arrived against what was journaled: everything, in order per key at the first occurrence, each on
// murmur2's partition, and the account adds up.
func (r *rig) check(s *sink.Shipper, refused int, o ...kgo.Opt) (twice int) {
	r.t.Helper()
	recs := r.consume(topic, r.n-refused, o...)
	last, where, seen := map[string]int{}, map[string]int32{}, map[string]bool{}
	for _, rec := range recs {
		v := string(rec.Value)
		if seen[v] {
			twice++
			continue
		}
		seen[v] = true
		var n int
		fmt.Sscanf(v[strings.Index(v, `"n":`):], `"n":%d`, &n)
		key := string(rec.Key)
		if want := fmt.Sprintf("agent-%d", n%agent); key != want {
			r.t.Fatalf("event %d has key %q, want %q", n, key, want)
		}
		if before, ok := last[key]; ok && n <= before {
			r.t.Fatalf("key %s: %d came after %d", key, n, before)
		}
		last[key] = n
		if p, ok := where[key]; ok && p != rec.Partition {
			r.t.Fatalf("key %s is in partitions %d and %d", key, p, rec.Partition)
		}
		where[key] = rec.Partition
	}
	if len(seen) != r.n-refused {
		r.t.Errorf("%d events arrived, want %d", len(seen), r.n-refused)
	}
	c := s.Counters()
	if c.Journaled != c.Delivered+c.Pending+c.Expired+c.Refused || c.Delivered != uint64(r.n-refused) || c.Refused != uint64(refused) {
		r.t.Errorf("account %+v, want %d delivered, %d refused", c, r.n-refused, refused)
	}
	return twice
}

func TestRecordsAreCloudEvents(t *testing.T) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			r := newRig(t, cluster(t, kfake.SeedTopics(3, topic)))
			o := r.options()
			o.Compression = codec
			s, stop := r.run(o, sink.Options{})
			defer stop()
			r.append(50, 10)
			r.drain(s)
			r.check(s, 0)
			rec := r.consume(topic, r.n)[0]
			var heads []string
			for _, h := range rec.Headers {
				heads = append(heads, h.Key+"="+string(h.Value))
			}
			id := string(rec.Value)[len(`{"id":"`):][:len("evt_policy_1735424567890_0000000000000000")]
			want := "ce_specversion=1.0 ce_id=" + id + " ce_type=policy.evaluated ce_source=/thymus/host-1/policy_engine " +
				"ce_time=2024-12-28T22:22:47.890123Z content-type=application/json"
			if got := strings.Join(heads, " "); got != want {
				t.Errorf("headers %s\nwant    %s", got, want)
			}
			if rec.Timestamp.UnixMilli() != 1735424567890 {
				t.Errorf("timestamp %v", rec.Timestamp)
			}
		})
	}
}

func TestFailuresLoseNothing(t *testing.T) {
	produce := []kmsg.Key{kmsg.Produce}
	for name, f := range map[string]kfake.Fault{
		"the leader is another":                 {Keys: produce, Topic: topic, Err: kerr.NotLeaderForPartition, Count: 20},
		"no leader":                             {Keys: produce, Topic: topic, Err: kerr.LeaderNotAvailable, Count: 20},
		"too few replicas":                      {Keys: produce, Topic: topic, Err: kerr.NotEnoughReplicas, Count: 20},
		"too few replicas after the append":     {Keys: produce, Topic: topic, Err: kerr.NotEnoughReplicasAfterAppend, Count: 20},
		"a time-out after the append":           {Keys: produce, Topic: topic, Err: kerr.RequestTimedOut, Count: 20},
		"not authorised for a while":            {Keys: produce, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: 20},
		"the topic is unknown for a while":      {Keys: produce, Topic: topic, Err: kerr.UnknownTopicOrPartition, Count: 20},
		"a corrupt message on the way":          {Keys: produce, Topic: topic, Err: kerr.CorruptMessage, Count: 20},
		"an error that nobody has heard of yet": {Keys: produce, Topic: topic, Err: kerr.UnknownServerError, Count: 20},
		"one partition of three":                {Keys: produce, Topic: topic, Partitions: []int32{1}, Err: kerr.NotLeaderForPartition, Count: 20},
		"metadata":                              {Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Err: kerr.LeaderNotAvailable, Count: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, kfake.SeedTopics(3, topic))
			r := newRig(t, c)
			h := c.Fault(f)
			s, stop := r.run(r.options(), sink.Options{MaxBatch: 4 << 10})
			defer stop()
			r.append(2000, 10)
			r.drain(s)
			twice := r.check(s, 0)
			if h.Hits() < f.Count {
				t.Errorf("%d of %d failures happened", h.Hits(), f.Count)
			}
			if strings.Contains(name, "after") && twice == 0 {
				t.Error("the appends that were answered by an error did not happen")
			}
		})
	}
}

func TestLeadersChange(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(6, topic))
	r := newRig(t, c)
	s, stop := r.run(r.options(), sink.Options{MaxBatch: 8 << 10})
	defer stop()
	for range 10 {
		r.append(500, 10)
		c.ShufflePartitionLeaders()
		time.Sleep(10 * time.Millisecond) // paces the changes: some come while nothing is under way, some in the middle
	}
	r.drain(s)
	r.check(s, 0)
}

func TestNoBrokerAtStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	r := newRig(t, nil)
	o := r.options()
	o.Brokers = []string{fmt.Sprintf("127.0.0.1:%d", port)}
	s, stop := r.run(o, sink.Options{})
	defer stop()
	r.append(500, 10)
	if err := <-r.said; err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("said %v", err)
	}
	r.c = cluster(t, kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(3, topic))
	r.drain(s)
	r.check(s, 0)
}

func TestMissingTopicIsNamedAndAwaited(t *testing.T) {
	c := cluster(t)
	r := newRig(t, c)
	s, stop := r.run(r.options(), sink.Options{})
	defer stop()
	r.append(100, 10)
	if err := <-r.said; err == nil || !strings.Contains(err.Error(), "topic thymus.events does not exist") {
		t.Errorf("said %v", err)
	}
	if err := c.CreateTopic(topic, 4, nil); err != nil {
		t.Fatal(err)
	}
	r.drain(s)
	r.check(s, 0)
}

func TestTooLargeIsSetAside(t *testing.T) {
	c := cluster(t)
	if err := c.CreateTopic(topic, 2, map[string]string{"max.message.bytes": "20000"}); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, c)
	o := r.options()
	o.Compression = "none"
	s, stop := r.run(o, sink.Options{})
	defer stop()
	r.append(200, 10)
	r.append(2, 30000)
	r.append(200, 10)
	r.drain(s)
	r.check(s, 2)
}

func TestPartitionsAreAdded(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(2, topic))
	r := newRig(t, c)
	s, stop := r.run(r.options(), sink.Options{})
	defer stop()
	r.append(500, 10)
	r.drain(s)
	r.check(s, 0)
	req := kmsg.NewPtrCreatePartitionsRequest()
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = topic, 5
	req.Topics = append(req.Topics, rt)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := req.RequestWith(context.Background(), cl); err != nil {
		t.Fatal(err)
	}
	used := map[int32]bool{}
	for deadline := time.Now().Add(30 * time.Second); len(used) < 3 && time.Now().Before(deadline); {
		r.append(100, 10)
		r.drain(s)
		for _, rec := range r.consume(topic, r.n) {
			used[rec.Partition] = true
		}
	}
	if len(used) < 3 {
		t.Errorf("only partitions %v are used", used)
	}
	if ct := s.Counters(); ct.Delivered != uint64(r.n) {
		t.Errorf("account %+v", ct)
	}
}

func TestHeadsGoToATopicOfTheirOwn(t *testing.T) {
	r := newRig(t, cluster(t, kfake.SeedTopics(2, topic, chain)))
	s, stop := r.run(r.options(), sink.Options{Heads: 5 * time.Millisecond})
	defer stop()
	r.append(10, 10)
	r.drain(s)
	rec := r.consume(chain, 1)[0]
	if string(rec.Key) != "host-1" || !strings.Contains(string(rec.Value), `"head":"`) {
		t.Errorf("key %s, value %s", rec.Key, rec.Value)
	}
	r.check(s, 0)
}

func TestAuthentication(t *testing.T) {
	for _, m := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(m, func(t *testing.T) {
			r := newRig(t, cluster(t, kfake.SeedTopics(2, topic), kfake.EnableSASL(), kfake.Superuser(m, "thymus", "right")))
			o := r.options()
			o.SASL = kafka.SASL{Mechanism: m, Username: "thymus", Password: "wrong"}
			_, end := r.run(o, sink.Options{})
			r.append(10, 10)
			if err := <-r.said; err == nil || !strings.Contains(err.Error(), `authentication as "thymus" failed`) {
				t.Errorf("said %v", err)
			}
			end()
			o.SASL.Password = "right"
			s, stop := r.run(o, sink.Options{})
			defer stop()
			r.drain(s)
			if c := s.Counters(); c.Delivered != 10 {
				t.Errorf("account %+v", c)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	ca, cert := selfSigned(t)
	r := newRig(t, cluster(t, kfake.SeedTopics(2, topic), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}})))
	o := r.options()
	o.TLS = kafka.TLS{Enabled: true}
	_, end := r.run(o, sink.Options{})
	r.append(10, 10)
	if err := <-r.said; err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("said %v", err)
	}
	end()
	o.TLS.CA = ca
	s, stop := r.run(o, sink.Options{})
	defer stop()
	r.drain(s)
	if c := s.Counters(); c.Delivered != 10 {
		t.Errorf("account %+v", c)
	}
}
