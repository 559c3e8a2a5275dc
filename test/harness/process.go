package harness

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readyWithin is how long a start may take, on a machine that does much else.
const readyWithin = time.Minute

// endsWithin is how long one that is killed may take to be gone.
const endsWithin = 30 * time.Second

// Process is one life of the program. Its methods may be called from many goroutines at once; those that can end the test
// only from its own.
type Process struct {
	Ready map[string]any // the ready line
	Took  time.Duration  // from exec to the ready line

	t     testing.TB
	cmd   *exec.Cmd
	group bool          // it leads a group of processes, which is killed as one
	ready chan struct{} // closed with the ready line
	done  chan struct{} // closed when it has ended
	err   error         // how; after done

	mu  sync.Mutex
	log strings.Builder
}

// patientDeadline is data.deadline of a sidecar under test: on a machine that stands still for longer than the default of
// 50 ms whatever is being evaluated is denied, as it should be, and is not what a test asks about that does not name the
// key itself.
const patientDeadline = "THYMUS_DATA_DEADLINE=10s"

// Start runs cmd, whose standard error is the program's log, until it is ready. The test's end kills it, and shows its
// log where the test has failed.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	cmd.Env = append([]string{patientDeadline}, cmd.Environ()...) // of two values of a name the last counts
	p := launch(t, cmd, false)
	p.until(p.ready, "ready")
	return p
}

// Listen runs any program, a proxy say, until somebody listens at addr. Its log is both outputs; it is killed with the
// processes that it has started.
func Listen(t testing.TB, addr string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := launch(t, cmd, true)
	stop, open := make(chan struct{}), make(chan struct{})
	defer close(stop)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			if c, err := net.Dial("tcp", addr); err == nil {
				_ = c.Close()
				close(open)
				return
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	p.until(open, "listening at "+addr)
	return p
}

func launch(t testing.TB, cmd *exec.Cmd, other bool) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, group: other, ready: make(chan struct{}), done: make(chan struct{})}
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if other {
		cmd.Stdout = cmd.Stderr
		lead(cmd)
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(out, begin)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", filepath.Base(cmd.Path), p.Log())
		}
	})
	return p
}

// until waits for what says that it is in a state.
func (p *Process) until(yes <-chan struct{}, state string) {
	p.t.Helper()
	select {
	case <-yes:
	case <-p.done:
		p.t.Fatalf("%s ended before it was %s: %v", filepath.Base(p.cmd.Path), state, p.err)
	case <-time.After(readyWithin):
		p.t.Fatalf("%s is not %s after %s", filepath.Base(p.cmd.Path), state, readyWithin)
	}
}

func (p *Process) read(r io.Reader, begin time.Time) {
	defer close(p.done)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for said := false; lines.Scan(); {
		line := map[string]any{}
		if !said && json.Unmarshal(lines.Bytes(), &line) == nil && line["message"] == "ready" {
			said, p.Ready, p.Took = true, line, time.Since(begin)
			close(p.ready)
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
func (p *Process) Shoot() {
	select {
	case <-p.done: // its id may be another's by now
		return
	default:
	}
	if p.group {
		killAll(p.cmd)
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
}

// Kill ends it as a power cut would. It may be called again.
func (p *Process) Kill() {
	p.t.Helper()
	p.Shoot()
	select {
	case <-p.done:
	case <-time.After(endsWithin):
		p.t.Errorf("%s was killed and is still there after %s", filepath.Base(p.cmd.Path), endsWithin)
	}
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
	if code := p.Ends(endsWithin); code != 0 {
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
