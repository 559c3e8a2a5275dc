package threat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"thymus/internal/state"
	"thymus/pdp"
	"thymus/pdp/threat"
	"thymus/test/harness"
)

// server is a redis-server, asked by its own client.
type server struct{ *harness.Redis }

func startRedis(t *testing.T) *server { return &server{harness.NewRedis(t)} }

func (s *server) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, what, ok)
}

// box is a sidecar's journal: what its store was made to tell.
type box struct {
	mu     sync.Mutex
	events []pdp.Event
	full   atomic.Bool
}

func (b *box) Room(pdp.Class) bool { return !b.full.Load() }
func (b *box) Publish(_ pdp.Class, e *pdp.Event) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, pdp.Event{Type: strings.Clone(e.Type), Key: strings.Clone(e.Key), Owed: e.Owed})
	return true
}

func (b *box) count(typ string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Type == typ {
			n++
		}
	}
	return n
}

type sidecar struct {
	*threat.Redis
	*box
	state   *state.State
	trouble chan error
}

// patient is how long a call of Redis may take where the test is of something else: a machine that stands still for
// longer than the product waits would make a Redis that is there one that is away.
const patient = 20 * time.Second

func join(t *testing.T, s *server, name string, limit int) *sidecar {
	t.Helper()
	return joinFor(t, s, name, limit, patient)
}

// joinFor is join with a bound on one call, 0 for the product's own.
func joinFor(t *testing.T, s *server, name string, limit int, call time.Duration) *sidecar {
	t.Helper()
	b := &box{}
	st, err := state.Open(filepath.Join(t.TempDir(), "state.db"), b, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := &sidecar{box: b, state: st, trouble: make(chan error, 100)}
	o := threat.RedisOptions{URL: "redis://" + s.Addr, Instance: name, Store: st, Trouble: func(err error) { x.trouble <- err }}
	o.SetLimit(limit)
	o.SetCall(call)
	if x.Redis, err = threat.OpenRedis(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); st.Close() })
	return x
}

func report(severity threat.Severity) threat.Report {
	return threat.Report{Type: "probing", Source: "agent-1", Severity: severity, Metadata: json.RawMessage(`{"a":1}`)}
}

var bg = context.Background()

func TestTwoSidecarsSeeOneRegistry(t *testing.T) {
	s := startRedis(t)
	a, b := join(t, s, "a", 0), join(t, s, "b", 0)
	th, err := a.Create(bg, report(threat.Low))
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Get(bg, th.ID)
	if err != nil || got.Severity != threat.Low || string(got.Metadata) != `{"a":1}` {
		t.Fatalf("%v %+v", err, got)
	}
	if _, err := b.Change(bg, th.ID, threat.Change{Status: ptr(threat.Closed)}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Change(bg, th.ID, threat.Change{Status: ptr(threat.Open)}); !errors.Is(err, threat.ErrConflict) {
		t.Errorf("a change of what the other closed: %v", err)
	}
	items, _, err := a.List(bg, threat.Filter{Statuses: []threat.Status{threat.Closed}}, "", 10)
	if err != nil || len(items) != 1 || items[0].Version != 2 {
		t.Errorf("%v %+v", err, items)
	}
	if _, err := a.Get(bg, "none"); !errors.Is(err, threat.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := a.Change(bg, "none", threat.Change{}); !errors.Is(err, threat.ErrNotFound) {
		t.Errorf("%v", err)
	}
	for what, n := range map[string]int{"a detected": a.count("threat.detected"), "b mitigated": b.count("threat.mitigated")} {
		if n != 1 {
			t.Errorf("%s: %d events", what, n)
		}
	}
	if n := a.count("threat.mitigated") + b.count("threat.detected"); n != 0 {
		t.Errorf("%d events were told by the one who did not cause them", n)
	}
}

// Nothing is lost and nothing is there twice when sidecars raise one incident at the same time.
func TestNoChangeIsLostBetweenSidecars(t *testing.T) {
	s := startRedis(t)
	const rounds = 60
	all := []*sidecar{join(t, s, "a", 0), join(t, s, "b", 0), join(t, s, "c", 0)}
	th, err := all[0].Create(bg, report(threat.Low))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var made atomic.Int64
	for n, x := range all {
		wg.Go(func() {
			for i := range rounds {
				if _, err := x.Change(bg, th.ID, threat.Change{Seen: 1}); err != nil {
					t.Errorf("change: %v", err)
				}
				_, m, err := x.Raise(bg, seen("one", 1+i*3+n, threat.High, time.Now()))
				if err != nil {
					t.Errorf("raise: %v", err)
				}
				if m {
					made.Add(1)
				}
			}
		})
	}
	wg.Wait()
	got, err := all[2].Get(bg, th.ID)
	if err != nil || got.Count != 1+rounds*len(all) {
		t.Errorf("%v: count %d, want %d", err, got.Count, 1+rounds*len(all))
	}
	if made.Load() != 1 {
		t.Errorf("one incident made %d threats", made.Load())
	}
	st, err := all[1].Stats(bg)
	if err != nil || st.Total != 2 {
		t.Errorf("%v: %d threats, want 2", err, st.Total)
	}
	items, _, _ := all[0].List(bg, threat.Filter{Severities: []threat.Severity{threat.High}}, "", 10)
	if len(items) != 1 || items[0].Count != rounds*3 {
		t.Errorf("%+v, want one with the largest count %d", items, rounds*3)
	}
	told := 0
	for _, x := range all {
		told += x.count("threat.detected")
	}
	if told != 2 {
		t.Errorf("%d threats were told of, want 2", told)
	}
}

func TestRedisAwayServesTheLastStateAndRefusesChanges(t *testing.T) {
	s := startRedis(t)
	a, b := join(t, s, "a", 0), join(t, s, "b", 0)
	th, err := a.Create(bg, report(threat.Low))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(bg, th.ID); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	for _, x := range []*sidecar{a, b} {
		if got, err := x.Get(bg, th.ID); err != nil || got.ID != th.ID {
			t.Errorf("a read while it is away: %v", err)
		}
		if _, err := x.Change(bg, th.ID, threat.Change{Status: ptr(threat.Closed)}); !errors.Is(err, threat.ErrAway) {
			t.Errorf("a change while it is away: %v", err)
		}
		if st, err := x.Stats(bg); err != nil || st.Total != 1 {
			t.Errorf("statistics while it is away: %v", err)
		}
		harness.Steady(t, 20*time.Millisecond, func(t testing.TB) {
			began := time.Now()
			if _, err := x.Create(bg, report(threat.Low)); !errors.Is(err, threat.ErrAway) {
				t.Errorf("a new one while it is away: %v", err)
			}
			if took := time.Since(began); took > 100*time.Millisecond {
				t.Errorf("a refusal took %s", took)
			}
		})
	}
	if err := <-a.trouble; err == nil {
		t.Error("it was said that Redis is back")
	}
	late := join(t, s, "late", 0) // a start without Redis
	if _, err := late.Get(bg, th.ID); !errors.Is(err, threat.ErrAway) {
		t.Errorf("a read by one who never saw it: %v", err)
	}
	s.Start()
	for _, x := range []*sidecar{a, b, late} {
		wait(t, "it is back", func() bool { return x.Away() == nil })
		if got, err := x.Get(bg, th.ID); err != nil || got.Status != threat.Open {
			t.Errorf("after its return: %v, %s", err, got.Status)
		}
	}
	if err := <-a.trouble; err != nil {
		t.Errorf("its return was told as %v", err)
	}
	if _, err := late.Change(bg, th.ID, threat.Change{Status: ptr(threat.Closed)}); err != nil {
		t.Error(err)
	}
	if got, err := a.Get(bg, th.ID); err != nil || got.Status != threat.Closed {
		t.Errorf("%v, %s", err, got.Status)
	}
}

// Killed again and again under load: every change that was answered is there, with its event once.
func TestRedisIsKilledUnderLoad(t *testing.T) {
	s := startRedis(t)
	x := join(t, s, "a", 0)
	var answered []string
	refused := 0
	for round := range 3 {
		enough, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			<-enough
			time.Sleep(time.Duration(rand.N(10_000)) * time.Microsecond) // at any moment of a call
			s.Kill()
		}()
		kill := sync.OnceFunc(func() { close(enough) })
		for n := 1; ; n++ {
			if n == 10 {
				kill()
			}
			th, err := x.Create(bg, report(threat.Low))
			if err == nil {
				answered = append(answered, th.ID)
			} else if !errors.Is(err, threat.ErrAway) {
				t.Fatalf("round %d: %v", round, err)
			} else {
				refused++
				break
			}
		}
		kill()
		<-done
		s.Start()
		wait(t, "it is back", func() bool { return x.Away() == nil })
	}
	if len(answered) < 20 || refused < 3 {
		t.Fatalf("%d answered and %d refused show nothing", len(answered), refused)
	}
	for _, id := range answered {
		if _, err := x.Get(bg, id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	st, _ := x.Stats(bg)
	wait(t, "every threat is told of once", func() bool { return x.count("threat.detected") >= st.Total })
	keys := map[string]int{}
	x.box.mu.Lock()
	for _, e := range x.box.events {
		keys[e.Key]++
	}
	x.box.mu.Unlock()
	for id, n := range keys {
		if n != 1 {
			t.Errorf("%s was told of %d times", id, n)
		}
	}
	t.Logf("%d answered, %d stored, %d refused", len(answered), st.Total, refused)
}

func TestTheOutboxKeepsEventsUntilTheyAreStored(t *testing.T) {
	s := startRedis(t)
	a := join(t, s, "a", 0)
	c := s.client()
	defer c.Close()
	const outbox = "thymus:{threats}:outbox:a"
	if _, err := a.Create(bg, report(threat.Low)); err != nil {
		t.Fatal(err)
	}
	a.full.Store(true)
	if _, err := a.Create(bg, report(threat.Low)); !errors.Is(err, pdp.ErrNoRoom) {
		t.Errorf("a change whose event finds no room: %v", err)
	}
	if st, _ := a.Stats(bg); st.Total != 1 {
		t.Errorf("%d threats, the refused one among them", st.Total)
	}
	a.Redis.Close()
	// An event that an earlier life put there, and one that was taken and not removed.
	rec := pdp.AppendEvent([]byte{byte(pdp.ClassThreat)}, &pdp.Event{Source: pdp.SourceThreat, Type: "threat.left", Payload: []byte("{}")})
	old := pdp.AppendEvent([]byte{byte(pdp.ClassThreat)}, &pdp.Event{Source: pdp.SourceThreat, Type: "threat.taken", Payload: []byte("{}")})
	if err := errors.Join(c.RPush(bg, outbox, "1:"+string(old), "2:"+string(rec), "junk").Err(),
		c.HSet(bg, "thymus:{threats}:sent", "a", 2).Err()); err != nil {
		t.Fatal(err)
	}
	a.full.Store(false)
	o := threat.RedisOptions{URL: "redis://" + s.Addr, Instance: "a", Store: a.state}
	r, err := threat.OpenRedis(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n := a.count("threat.left"); n != 1 {
		t.Errorf("what was left came %d times", n)
	}
	if n := a.count("threat.taken"); n != 0 {
		t.Errorf("what was taken before came %d times", n)
	}
	if n := c.LLen(bg, outbox).Val(); n != 0 {
		t.Errorf("%d entries stay in the outbox", n)
	}
	if _, err := r.Create(bg, report(threat.Low)); err != nil || a.count("threat.detected") != 2 {
		t.Errorf("%v, %d told", err, a.count("threat.detected"))
	}
}

func TestTheSharedRegistryIsBounded(t *testing.T) {
	s := startRedis(t)
	a, b := join(t, s, "a", 10), join(t, s, "b", 10)
	var ids []string
	for i := range 14 {
		th, err := a.Create(bg, report(threat.Low))
		if err != nil {
			t.Fatal(err)
		}
		if i == 3 || i == 6 {
			if _, err := b.Change(bg, th.ID, threat.Change{Status: ptr(threat.Closed)}); err != nil {
				t.Fatal(err)
			}
		}
		ids = append(ids, th.ID)
		time.Sleep(2 * time.Millisecond) // ids of one millisecond are in no order
	}
	for name, x := range map[string]*sidecar{"a": a, "b": b, "who comes later": join(t, s, "c", 10)} {
		var held []int
		for i, id := range ids {
			if _, err := x.Get(bg, id); err == nil {
				held = append(held, i)
			}
		}
		if !slices.Equal(held, []int{2, 4, 5, 7, 8, 9, 10, 11, 12, 13}) {
			t.Errorf("%s holds %v", name, held)
		}
	}
}

func TestAnotherDataSetIsTakenAsItIs(t *testing.T) {
	s := startRedis(t)
	a := join(t, s, "a", 0)
	for range 3 {
		if _, err := a.Create(bg, report(threat.Low)); err != nil {
			t.Fatal(err)
		}
	}
	c := s.client()
	defer c.Close()
	if err := c.FlushAll(bg).Err(); err != nil {
		t.Fatal(err)
	}
	th, err := a.Create(bg, report(threat.High)) // numbers begin anew
	if err != nil {
		t.Fatal(err)
	}
	items, _, err := a.List(bg, threat.Filter{}, "", 10)
	if err != nil || len(items) != 1 || items[0].ID != th.ID {
		t.Errorf("%v %v", err, items)
	}
	if n := a.count("threat.detected"); n != 4 {
		t.Errorf("%d told of, want 4", n)
	}
}

func TestABadURLIsRefusedWithoutItsPassword(t *testing.T) {
	_, err := threat.OpenRedis(threat.RedisOptions{URL: "redis://u:secret@[::1"})
	if err == nil || strings.Contains(fmt.Sprint(err), "secret") {
		t.Errorf("got %v", err)
	}
}

// A Redis that hangs is slower to notice than one that is dead: everybody waits for one call, together.
func TestAHungRedisHoldsReadersUpOnce(t *testing.T) {
	s := startRedis(t)
	a := joinFor(t, s, "a", 0, 0)
	var th threat.Threat
	wait(t, "a threat is stored", func() bool { // in a call of the product's own length, as long as the machine moves
		var err error
		th, err = a.Create(bg, report(threat.Low))
		return err == nil
	})
	s.Signal(syscall.SIGSTOP)
	begin := time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := a.Get(bg, th.ID); err != nil || got.ID != th.ID {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("20 readers waited %s", took)
	}
	if _, err := a.Create(bg, report(threat.Low)); !errors.Is(err, threat.ErrAway) {
		t.Errorf("%v", err)
	}
	s.Signal(syscall.SIGCONT)
	wait(t, "it is back, and stores", func() bool {
		_, err := a.Create(bg, report(threat.Low))
		return err == nil && a.Away() == nil
	})
}
