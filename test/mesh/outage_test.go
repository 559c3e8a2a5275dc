//go:build unix

package mesh_test

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// Thymus is killed and started again while all proxies are asked: what is to be denied never passes, what is to pass is
// refused while nobody answers, and passes afterwards.
func TestAnOutageUnderLoadLetsNothingThrough(t *testing.T) {
	s, app := thymus(t, mixed), application(t)
	type lanes struct {
		road
		*lane
		refused, right, after int
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
					l.refused++
				case got.app != nil && !q.passes:
					t.Errorf("%s: %s %s passed", l.name, q.method, q.target)
					return
				case got.app == nil && got.status < 400:
					t.Errorf("%s: %s %s: %+v", l.name, q.method, q.target, got)
					return
				case q.passes && got.app == nil:
					l.refused++
				case q.passes:
					if l.right++; l.refused > 0 {
						l.after++
					}
				}
				select {
				case <-ends:
					return
				case <-back:
					if l.after > 20 {
						return
					}
				default:
				}
			}
		})
	}
	for range 2 {
		time.Sleep(300 * time.Millisecond) // all goes well for a while
		s.life.Kill()
		time.Sleep(300 * time.Millisecond) // and for a while nobody is there
		s.start()
	}
	close(back)
	late := time.AfterFunc(20*time.Second, func() { close(ends) })
	wg.Wait()
	late.Stop()
	for _, l := range all {
		if l.refused == 0 || l.right == 0 || l.after <= 20 {
			t.Errorf("%s: %d refused, %d passed, %d of them after the outage began", l.name, l.refused, l.right, l.after)
		}
	}
}
