package events_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"thymus/test/harness"
)

const kafkaVersion = "4.1.0"

// kafkaJars is a folder with Apache Kafka, fetched once into .tools.
func kafkaJars(t testing.TB) string {
	t.Helper()
	for _, tool := range []string{"java", "kcat"} {
		if _, err := exec.LookPath(tool); err != nil {
			harness.Absent(t, tool, err.Error())
		}
	}
	root, err := filepath.Abs("../../.tools/kafka-" + kafkaVersion)
	if err != nil {
		t.Fatal(err)
	}
	libs, done := filepath.Join(root, "libs"), filepath.Join(root, "complete")
	if _, err := os.Stat(done); err == nil {
		return libs
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		harness.Absent(t, "mvn, which fetches Kafka", err.Error())
	}
	const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>thymus</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>%[1]s</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>%[1]s</version></dependency>
</dependencies></project>`
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "pom.xml"), fmt.Appendf(nil, pom, kafkaVersion), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+libs)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		harness.Absent(t, "Kafka "+kafkaVersion, fmt.Sprintf("mvn: %v\n%s", err, out))
	}
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return libs
}

// broker is a real Apache Kafka, one node, on loopback.
type broker struct {
	t     testing.TB
	libs  string
	dir   string
	addr  string
	props string
	cmd   *exec.Cmd
	out   bytes.Buffer
}

func newBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{t: t, libs: kafkaJars(t), dir: t.TempDir()}
	ports := [2]int{}
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = l.Addr().(*net.TCPAddr).Port
		defer l.Close()
	}
	b.addr, b.props = fmt.Sprintf("127.0.0.1:%d", ports[0]), filepath.Join(b.dir, "server.properties")
	props := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=%[3]s
auto.create.topics.enable=false
broker.session.timeout.ms=5000
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`, ports[0], ports[1], filepath.Join(b.dir, "data"))
	if err := os.WriteFile(b.props, []byte(props), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := b.java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", b.props).CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	t.Cleanup(b.kill)
	return b
}

func (b *broker) java(args ...string) *exec.Cmd {
	cmd := exec.Command("java", append([]string{"-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
		filepath.Join(b.libs, "*")}, args...)...)
	cmd.Dir = b.dir
	return cmd
}

// start runs the broker until it answers.
func (b *broker) start() {
	b.t.Helper()
	b.cmd = b.java("kafka.Kafka", b.props)
	b.out.Reset()
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if exec.Command("kcat", "-b", b.addr, "-L", "-m", "2").Run() == nil {
			return
		}
		if time.Now().After(deadline) {
			b.kill()
			b.t.Fatalf("Kafka does not answer\n%s", b.out.String())
		}
	}
}

// kill is kill -9 of the broker.
func (b *broker) kill() {
	if b.cmd != nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait() // it was killed
		b.cmd = nil
	}
}

func (b *broker) topic(name string, partitions int32) {
	b.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.addr))
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, rt)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	made := func() error { // who answers may not count as a broker yet, and a first try may have been late
		res, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
		}
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil
		}
		return err
	}
	led := func() error { // and of what was made the broker is told by itself
		ask := kmsg.NewPtrMetadataRequest()
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		ask.Topics = append(ask.Topics, t)
		res, err := ask.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
		}
		if err == nil && len(res.Topics[0].Partitions) != int(partitions) {
			err = fmt.Errorf("%d of %d partitions", len(res.Topics[0].Partitions), partitions)
		}
		for i := 0; err == nil && i < int(partitions); i++ {
			err = kerr.ErrorForCode(res.Topics[0].Partitions[i].ErrorCode)
		}
		return err
	}
	for _, step := range []func() error{made, led} {
		for err := step(); err != nil; err = step() {
			if ctx.Err() != nil {
				b.t.Fatalf("topic %s: %v", name, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// arrived is one message as kcat reads it.
type arrived struct {
	partition    string
	key, headers string
	value        string
}

// read is all of a topic, by kcat, which shares no code with us.
func (b *broker) read(topic string) (out []arrived) {
	b.t.Helper()
	cmd := exec.Command("kcat", "-b", b.addr, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", `%p\t%k\t%h\t%s\n`)
	raw, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("kcat: %v", err)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(raw), "\n"), "\n") {
		if f := strings.SplitN(line, "\t", 4); len(f) == 4 {
			out = append(out, arrived{f[0], f[1], f[2], f[3]})
		}
	}
	return out
}
