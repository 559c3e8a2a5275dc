package harness

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readyWithin is how long a start may take, on a machine that does much else.
const readyWithin = time.Minute

// Process is one life of the program. Its methods may be called from many goroutines at once; those that can end the test
// only from its own.
type Process struct {
	Ready map[string]any // the ready line
	Took  time.Duration  // from exec to the ready line

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; after done

	mu  sync.Mutex
	log strings.Builder
}

// Start runs cmd, whose standard error is the program's log, until it is ready. The test's end kills it, and shows its
// log where the test has failed.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, done: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go p.read(stderr, ready, begin)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of the sidecar:\n%s", p.Log())
		}
	})
	select {
	case <-ready:
	case <-p.done:
		t.Fatalf("it ended before it was ready: %v", p.err)
	case <-time.After(readyWithin):
		t.Fatalf("it is not ready after %s", readyWithin)
	}
	return p
}

func (p *Process) read(r io.Reader, ready chan struct{}, begin time.Time) {
	defer close(p.done)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for said := false; lines.Scan(); {
		line := map[string]any{}
		if !said && json.Unmarshal(lines.Bytes(), &line) == nil && line["message"] == "ready" {
			said, p.Ready, p.Took = true, line, time.Since(begin)
			close(ready)
		}
		p.mu.Lock()
		p.log.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // a line that was too long must not block the program
	p.err = p.cmd.Wait()
}

// Addr is where a plane listens: data, management, diagnostics, extauthz, or a socket's path.
func (p *Process) Addr(plane string) string {
	p.t.Helper()
	a, _ := p.Ready[plane].(string)
	if a == "" {
		p.t.Fatalf("the ready line names no %s: %v", plane, p.Ready)
	}
	return a
}

// URL is Addr for HTTP.
func (p *Process) URL(plane string) string {
	p.t.Helper()
	return "http://" + p.Addr(plane)
}

// Log is what it has said, a line a line.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Pid is its process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when it has ended and said its last.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends one.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Shoot is kill -9 without waiting for the end.
func (p *Process) Shoot() { _ = p.cmd.Process.Kill() } // it may have ended

// Kill ends it as a power cut would. It may be called again.
func (p *Process) Kill() {
	p.Shoot()
	<-p.done
}

// Ends waits for the end and gives the exit code, -1 where a signal ended it.
func (p *Process) Ends(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Fatalf("still running after %s", within)
	}
	return ExitCode(p.t, p.err)
}

// Stop is SIGTERM, after which it must end with 0.
func (p *Process) Stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended, which Ends says
	if code := p.Ends(30 * time.Second); code != 0 {
		p.t.Errorf("it ended with %d", code)
	}
}

// ExitCode is the code in an error of exec's.
func ExitCode(t testing.TB, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}
