package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminalPair opens a pseudo terminal: what is written to tty comes out of screen, as a person would see it.
func terminalPair(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// seen reads the screen until the program has ended and the terminal is closed.
func seen(t *testing.T, cmd *exec.Cmd, screen, tty *os.File) string {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	text, _ := io.ReadAll(screen) // ends with an error once nobody holds the other end
	cmd.Wait()
	return string(text)
}

func TestColoursAreForTerminalsAlone(t *testing.T) {
	cases := []struct {
		name string
		env  []string
		want string
	}{
		{"a terminal", []string{"TERM=xterm"}, "decision  \x1b[1;31mdeny\x1b[0m\r\n"},
		{"NO_COLOR", []string{"TERM=xterm", "NO_COLOR=1"}, "decision  deny\r\n"},
		{"an empty NO_COLOR, which says nothing", []string{"TERM=xterm", "NO_COLOR="}, "decision  \x1b[1;31mdeny\x1b[0m\r\n"},
		{"a dumb terminal", []string{"TERM=dumb"}, "decision  deny\r\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			screen, tty := terminalPair(t)
			cmd := exec.CommandContext(t.Context(), binary, "check", "--agent", "a", "--action", "x")
			cmd.Env, cmd.Stdout = append([]string{"HOME=" + t.TempDir()}, c.env...), tty
			if got := seen(t, cmd, screen, tty); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestCheckAtATerminalAsksForFlagsRatherThanWait(t *testing.T) {
	_, tty := terminalPair(t)
	cmd := exec.CommandContext(t.Context(), binary, "check")
	cmd.Env, cmd.Stdin = []string{"HOME=" + t.TempDir()}, tty
	out, err := cmd.CombinedOutput()
	if want := "thymus: expected --agent and --action, or a JSON document on standard input\n"; err == nil || string(out) != want {
		t.Errorf("got %q (%v)", out, err)
	}
}

// serveLog starts a server whose standard error is the terminal or a pipe, and gives the ready line.
func serveLog(t *testing.T, onTerminal bool, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{
		"--dir", dir + "/state", "--listen", "127.0.0.1:0", "--management-listen=", "--set", "events.ring.path=" + dir,
		"--set", "events.ring.size=1MiB",
	}, args...)...)
	cmd.Env = []string{"HOME=" + dir, "TERM=xterm"}
	var from io.Reader
	if onTerminal {
		screen, tty := terminalPair(t)
		cmd.Stderr, from = tty, screen
	} else {
		pipe, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		from = pipe
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1)
	go func() {
		var all []byte
		for buf := make([]byte, 4096); ; {
			n, err := from.Read(buf)
			all = append(all, buf[:n]...)
			for line := range strings.Lines(string(all)) {
				if strings.Contains(line, "ready") && strings.HasSuffix(line, "\n") {
					lines <- strings.TrimRight(line, "\r\n")
					return
				}
			}
			if err != nil {
				lines <- "no ready line in " + string(all)
				return
			}
		}
	}()
	var got string
	select {
	case got = <-lines:
	case <-time.After(30 * time.Second):
		t.Error("not ready after 30 s")
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	return got
}

func TestTheLogIsForWhoeverReadsIt(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
		args     []string
		json     bool
		colour   bool
	}{
		{"JSON in a pipe", false, nil, true, false},
		{"words on a terminal", true, nil, false, true},
		{"words in a pipe when asked for", false, []string{"--log-format", "console"}, false, false},
		{"JSON on a terminal when asked for", true, []string{"--log-format", "json"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := serveLog(t, c.terminal, c.args...)
			var line struct{ Message, Level, Time string }
			isJSON := json.Unmarshal([]byte(got), &line) == nil
			if isJSON != c.json || strings.Contains(got, "\x1b[") != c.colour {
				t.Fatalf("got %q", got)
			}
			if !isJSON {
				return
			}
			if line.Message != "ready" || line.Level != "info" {
				t.Errorf("got %+v", line)
			}
			if at, err := time.Parse(time.RFC3339Nano, line.Time); err != nil || at.Location() != time.UTC || time.Since(at) > time.Minute {
				t.Errorf("time is %q (%v)", line.Time, err)
			}
		})
	}
}
