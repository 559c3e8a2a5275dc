//go:build unix

package mesh_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thymus/test/harness"
)

// Thymus is killed and started again while all proxies are asked: what is to be denied never passes, what is to pass is
// refused while nobody answers, and passes afterwards.
func TestAnOutageUnderLoadLetsNothingThrough(t *testing.T) {
	s, app := thymus(t, mixed), application(t)
	type lanes struct {
		road
		*lane
		refused, right, after atomic.Int64
	}
	var all []*lanes
	for _, r := range everybody() {
		all = append(all, &lanes{road: r, lane: &lane{addr: r.start(t, s, app).addr}})
	}
	var wg sync.WaitGroup
	ends, back := make(chan struct{}), make(chan struct{})
	for _, l := range all {
		wg.Go(func() {
			defer l.close()
			for n := 0; ; n++ {
				q := ask(n, strings.HasPrefix(l.name, "Envoy"))
				got, err := l.ask(q)
				switch {
				case err != nil: // the proxy closed the connection: no answer is no permit
					l.close()
					l.refused.Add(1)
				case got.app != nil && !q.passes:
					t.Errorf("%s: %s %s passed", l.name, q.method, q.target)
					return
				case got.app == nil && got.status < 400:
					t.Errorf("%s: %s %s: %+v", l.name, q.method, q.target, got)
					return
				case q.passes && got.app == nil:
					l.refused.Add(1)
				case q.passes:
					if l.right.Add(1); l.refused.Load() > 0 {
						l.after.Add(1)
					}
				}
				select {
				case <-ends:
					return
				case <-back:
					if l.after.Load() > 20 {
						return
					}
				default:
				}
			}
		})
	}
	// each waits until something has happened once more to everybody: how soon is the machine's business.
	each := func(what string, count func(l *lanes) int64) {
		before := make([]int64, len(all))
		for i, l := range all {
			before[i] = count(l)
		}
		harness.Eventually(t, time.Minute, what, func() bool {
			for i, l := range all {
				if count(l) == before[i] {
					return t.Failed() // who has failed asks no more
				}
			}
			return true
		})
	}
	for range 2 {
		time.Sleep(300 * time.Millisecond) // all goes well for a while, at least
		each("each passes", func(l *lanes) int64 { return l.right.Load() })
		s.life.Kill()
		time.Sleep(300 * time.Millisecond) // and for a while nobody is there
		each("each is refused", func(l *lanes) int64 { return l.refused.Load() })
		s.start()
	}
	close(back)
	late := time.AfterFunc(time.Minute, func() { close(ends) })
	wg.Wait()
	late.Stop()
	for _, l := range all {
		if refused, right, after := l.refused.Load(), l.right.Load(), l.after.Load(); refused == 0 || right == 0 || after <= 20 {
			t.Errorf("%s: %d refused, %d passed, %d of them after the outage began", l.name, refused, right, after)
		}
	}
}
