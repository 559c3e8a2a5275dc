package events_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// ticks is the processor time that a process has used, in hundredths of a second.
func ticks(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	var user, system int
	fmt.Sscan(f[11], &user)
	fmt.Sscan(f[12], &system)
	return user + system
}

// A sidecar that nobody asks anything burns less than one hundredth of a core, with a ring of the default size: a small
// one is looked at more often.
func TestIdleBurnsLittle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("absent: /proc")
	}
	s := newHome(t, "THYMUS_EVENTS_RING_SIZE=32MiB").start(t)
	if _, err := s.evaluate(body(0)); err != nil {
		t.Fatal(err)
	}
	s.settle()
	time.Sleep(time.Second) // what the start left to do
	before := ticks(t, s.Pid())
	const span = 10 * time.Second
	for range 3 { // who shares the processor makes the same work dearer for a while
		time.Sleep(span)
		now := ticks(t, s.Pid())
		t.Logf("%d hundredths of a second in %v", now-before, span)
		if now-before <= int(span/time.Second) {
			return
		}
		before = now
	}
	t.Errorf("more than a hundredth of a core in each of three times %v", span)
}
