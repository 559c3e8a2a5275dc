package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Stdio is where a command reads and writes, and what it knows of its surroundings.
type Stdio struct {
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Environ []string
	UID     int
}

// Process is the Stdio of this process.
func Process() Stdio {
	return Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), UID: os.Geteuid()}
}

// getenv is the last value that the surroundings give a variable; empty without one.
func (s Stdio) getenv(name string) (value string) {
	for _, kv := range s.Environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

// terminal says whether a person reads or types at the other end.
func terminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colour says whether w shows colours: a terminal, unless NO_COLOR is set or the terminal is dumb.
func (s Stdio) colour(w io.Writer) bool {
	return terminal(w) && s.getenv("NO_COLOR") == "" && s.getenv("TERM") != "dumb"
}

// Exit codes.
const (
	exitNo      = 1 // a clear no: deny, a failed test, a refused policy set
	exitRefused = 2 // the call, the configuration or the start was refused
)

// exitError ends the process with a code. Without an error nothing is printed: the output has said it.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Main runs the command line and returns the exit code. An error is printed line by line; one that is no exitError is a
// refusal.
func Main(args []string, std Stdio) int {
	root := newRoot(std)
	root.SetArgs(args)
	return report(std.Err, root.ExecuteContext(context.Background()))
}

func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := exitRefused
	if e := new(exitError); errors.As(err, &e) {
		if code = e.code; e.err == nil {
			return code
		}
	}
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintln(w, "thymus: "+line)
	}
	return code
}
