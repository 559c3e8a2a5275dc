package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startKafka runs one node of Apache Kafka on loopback until the returned function is called, with the topic that Thymus
// writes to.
func (s *settings) startKafka(ctx context.Context, dir string) (stop func(), err error) {
	if s.kafka == "" {
		return nil, errors.New("--kafka names no folder with its jars")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	broker, controller := freePort(), freePort()
	props := filepath.Join(dir, "server.properties")
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
`, broker, controller, filepath.Join(dir, "data"))
	if err := os.WriteFile(props, []byte(text), 0o600); err != nil {
		return nil, err
	}
	libs, err := filepath.Abs(s.kafka)
	if err != nil {
		return nil, err
	}
	java := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "java", append([]string{"-Xmx1g", "-XX:+UseG1GC", "-cp", filepath.Join(libs, "*")}, args...)...)
		cmd.Dir = dir
		return cmd
	}
	if out, err := java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", props).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format: %w: %s", err, bytes.TrimSpace(out))
	}
	node := java("kafka.Kafka", props)
	var said bytes.Buffer
	node.Stdout, node.Stderr = &said, &said
	if err := node.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() { _ = node.Wait(); close(exited) }()
	stop = func() {
		s.brokers = ""
		_ = node.Process.Kill()
		<-exited
	}
	for until := time.Now().Add(time.Minute); ; {
		out, err := java("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", broker, "--create", "--if-not-exists", "--topic", "thymus.events",
			"--partitions", "1").CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(until) || ctx.Err() != nil {
			stop()
			return nil, fmt.Errorf("does not answer: %s", bytes.TrimSpace(out))
		}
		select {
		case <-exited:
			return nil, fmt.Errorf("ended: %s", lastLine(said.String()))
		case <-time.After(200 * time.Millisecond):
		}
	}
	s.brokers = broker
	return stop, nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
