package harness

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// attempts is how often Steady calls what was disturbed.
const attempts = 12

// Steady runs a test of times: of a deadline that comes when it should, of a client that is quick enough. If it fails
// while this process was kept from running for longer than still, the failure says nothing, and it is run again, at most
// a dozen times; one that fails on a machine that moved fails at once. What it opens must end with it: its Cleanup runs
// after each attempt.
func Steady(t testing.TB, still time.Duration, f func(t testing.TB)) {
	t.Helper()
	for n := 1; ; n++ {
		stood := standstill()
		a := try(t, f)
		longest := stood()
		if !a.failed {
			return
		}
		if longest <= still || n == attempts {
			t.Fatalf("attempt %d, this process was kept from running for %s at the longest: %s", n, longest, strings.Join(a.said, "\n"))
		}
		t.Logf("attempt %d says nothing, this process was kept from running for %s: %s", n, longest, strings.Join(a.said, "\n"))
	}
}

// standstill begins to measure; what it returns ends that, and says how long nothing ran here at the longest.
func standstill() (end func() time.Duration) {
	const step = time.Millisecond
	stop, out := make(chan struct{}), make(chan time.Duration)
	go func() {
		longest, last := time.Duration(0), time.Now()
		look := func() {
			now := time.Now()
			longest, last = max(longest, now.Sub(last)-step), now
		}
		for {
			select {
			case <-stop:
				look()
				out <- longest
				return
			case <-time.After(step):
				look()
			}
		}
	}()
	return func() time.Duration { close(stop); return <-out }
}

// attempt is a testing.TB whose failure is not yet the test's.
type attempt struct {
	testing.TB
	mu      sync.Mutex
	failed  bool
	said    []string
	cleanup []func()
}

// try runs f on a goroutine of its own, which Fatal ends.
func try(t testing.TB, f func(t testing.TB)) *attempt {
	a := &attempt{TB: t}
	var ended sync.WaitGroup
	ended.Go(func() {
		defer func() {
			for i := len(a.cleanup) - 1; i >= 0; i-- {
				a.cleanup[i]()
			}
		}()
		f(a)
	})
	ended.Wait()
	return a
}

func (a *attempt) fail(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = true
	if text != "" {
		a.said = append(a.said, text)
	}
}

func (a *attempt) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanup = append(a.cleanup, f)
}

func (a *attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (a *attempt) Fail()                        { a.fail("") }
func (a *attempt) FailNow()                     { a.fail(""); runtime.Goexit() }
func (a *attempt) Error(v ...any)               { a.fail(fmt.Sprint(v...)) }
func (a *attempt) Errorf(form string, v ...any) { a.fail(fmt.Sprintf(form, v...)) }
func (a *attempt) Fatal(v ...any)               { a.fail(fmt.Sprint(v...)); runtime.Goexit() }
func (a *attempt) Fatalf(form string, v ...any) {
	a.fail(fmt.Sprintf(form, v...))
	runtime.Goexit()
}

// Moving is closed after d in which this process could run: what a promise in seconds is held by on a machine that others
// use too. A time in which nothing ran here counts as its first 10 ms. Call stop when it is no longer waited for.
func Moving(d time.Duration) (over <-chan struct{}, stop func()) {
	const step, most = time.Millisecond, 10 * time.Millisecond
	out, end := make(chan struct{}), make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for last := time.Now(); d > 0; {
			select {
			case <-end:
				return
			case <-time.After(step):
			}
			now := time.Now()
			d, last = d-min(most, now.Sub(last)), now
		}
		close(out)
	})
	return out, sync.OnceFunc(func() { close(end); ended.Wait() })
}
