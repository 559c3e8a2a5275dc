//go:build unix

package harness

import (
	"syscall"
	"testing"
	"time"
)

// CPUTime is what this process has taken of the processors so far: a measure of work that does not grow because others
// work too, or because the machine stands still.
func CPUTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
