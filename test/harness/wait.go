package harness

import (
	"testing"
	"time"
)

// Eventually looks until ok says yes, and tells how long that took. It looks at once, then less and less often, at the
// least a hundred times a second, and once more when the time is over.
func Eventually(t testing.TB, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, 10*time.Millisecond) {
		last := time.Since(begin) >= within
		if ok() {
			return time.Since(begin)
		}
		if last {
			t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(pause)
	}
}
